"""Failures as a client sees them."""
