"""What several tasks share; no task imports another."""
