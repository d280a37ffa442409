"""Scores methods on prompt sets; nothing here knows of screens."""
