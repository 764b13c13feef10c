"""Reads of workers, locks and health."""
