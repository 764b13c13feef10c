"""A pipeline as a card for a ticket."""
