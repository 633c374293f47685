"""Hyperparameter search: the space, trials that processes share, and the run of the best settings."""
