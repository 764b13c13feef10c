"""The workers: what a client sees of them, and their SQL."""
