"""What a terminal shows: messages, tables, and the progress of a training."""
