"""A test-only app: a workflow whose effects are lines of a file, outside every database."""
