"""The caller, as the graph shows it."""
