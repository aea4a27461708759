"""The reference recipe, written out, so that anyone can rerun a comparison with it."""
