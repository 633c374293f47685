"""From texts to batches: tokenizer, sequences, the batch plan, collation. Knows no task."""
