"""Runs among their like: the pipelines before and after one on the same scope, and what differs from them."""
