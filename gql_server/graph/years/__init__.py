"""Reporting years as a client sees them."""
