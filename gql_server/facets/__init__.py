"""Counts of a pipeline list along its dimensions: what a client sees, and their SQL."""
