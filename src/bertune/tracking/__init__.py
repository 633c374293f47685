"""Experiment trackers: consumers of the training events, such as TensorBoard and MLflow."""
