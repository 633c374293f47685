"""Rows with their origin: reading, choosing columns, splitting, auditing. Knows no task and no model."""
