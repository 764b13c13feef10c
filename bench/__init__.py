"""Costs of the product, measured on a durable PostgreSQL of its own: numbers to read, never to assert."""
