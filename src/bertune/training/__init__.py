"""Training: data preparation, the training loop, the optimizer, checkpoints, and `fit`."""
