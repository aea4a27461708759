"""Fitted models as ONNX graphs in float64, which predict without this project's libraries."""
