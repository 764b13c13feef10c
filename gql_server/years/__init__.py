"""Year configurations: what a client sees of them, and their SQL."""
