"""Rejected rows of an ingest: what a client sees of them, and their SQL."""
