"""Code shared by several tasks. Tasks do not import each other."""
