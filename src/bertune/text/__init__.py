"""Task-independent text processing: tokenization, truncation, windows, and the batch plan."""
