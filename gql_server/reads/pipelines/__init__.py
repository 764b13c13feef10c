"""Reads of pipelines."""
