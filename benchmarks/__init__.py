"""Measurements for the docs. The running app never imports this package."""
