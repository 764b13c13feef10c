"""A pipeline as text for a ticket."""
