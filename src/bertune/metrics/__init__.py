"""Metrics in NumPy, computed from labels and predictions without models or files."""
