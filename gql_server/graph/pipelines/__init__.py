"""Pipelines as a client sees them."""
