"""From the columns of the catalogue to what a model is given."""
