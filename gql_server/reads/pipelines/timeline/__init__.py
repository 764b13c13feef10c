"""Entries of a pipeline's history."""
