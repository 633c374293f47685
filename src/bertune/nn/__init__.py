"""The model: pretrained encoders, heads and freezing. Depends on batches, but not on tasks or the loop."""
