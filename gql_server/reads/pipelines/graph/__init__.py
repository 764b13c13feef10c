"""The jobs of a pipeline as a directed graph."""
