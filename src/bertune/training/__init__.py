"""Training: the loop, the optimizer step, checkpoints, and `fit`, which puts them together."""
