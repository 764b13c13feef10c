"""Reads of reporting years and their modules."""
