"""Pipelines: what a client sees of them, their SQL, and how progress is computed."""
