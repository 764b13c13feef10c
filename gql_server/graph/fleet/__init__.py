"""Workers, locks and health as a client sees them."""
