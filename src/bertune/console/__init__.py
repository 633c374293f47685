"""Terminal output: messages, tables and training progress."""
