"""How much a pipeline touched."""
