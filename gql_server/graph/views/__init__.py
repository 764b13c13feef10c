"""Saved views as a client sees them."""
