"""One file a tab; each is a function that takes the services."""
