"""All SQL that answers a question, per concept: which rows, what of them, and what follows from them."""
