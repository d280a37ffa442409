"""What a run has found, as tables, plots, texts and files; nothing here knows of components or events."""
