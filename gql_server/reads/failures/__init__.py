"""Reads of failures, grouped by cause."""
