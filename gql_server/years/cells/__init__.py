"""Modules in a year: what a client sees of each, and their SQL."""
