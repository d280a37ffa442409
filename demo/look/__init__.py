"""The look of the page: theme, style sheet, icon."""
