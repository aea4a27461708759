"""Split, search, fit: everything that happens on the training side."""
