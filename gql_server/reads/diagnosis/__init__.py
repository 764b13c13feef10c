"""Reasons for the state of a pipeline, and their remedies."""
