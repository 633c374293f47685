"""The model: pretrained encoders, heads, what is frozen. Knows batches, no task and no loop."""
