"""The audit of a data set: statistics and findings. Takes plain values, and works without torch."""
