"""Metrics in NumPy and scikit-learn, computed from labels and predictions without models or files."""
