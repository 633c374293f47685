"""Heads of one's own, each a file.

Such a file defines `HEAD(hidden_size, num_outputs, dropout)`, a module whose forward takes `hidden_TH` (the
last hidden states of a batch, without padding) and `batch`, and gives the outputs.
"""
