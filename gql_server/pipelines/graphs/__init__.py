"""The chain of a pipeline's jobs as a graph."""
