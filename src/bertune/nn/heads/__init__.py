"""Custom heads, one per file.

A file defines `HEAD(hidden_size, num_outputs, dropout)`, a module whose forward method takes `hidden_TH` (the
last hidden states of a batch, without padding) and `batch`, and returns the outputs.
"""
