"""Everything a client sees."""
