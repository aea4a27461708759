"""Predictions of a stored model: loading, columns, intervals, explanations, file scoring."""
