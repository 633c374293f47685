"""Rows and their origins: reading, column selection, splitting, auditing. Independent of tasks and models."""
