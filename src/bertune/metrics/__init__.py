"""Scores, pure numpy and scikit-learn: knows labels and probabilities, no model and no file."""
