"""Batches, segments, dataset versions, the split and its near-duplicate index."""
