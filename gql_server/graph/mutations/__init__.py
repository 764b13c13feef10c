"""Writes as a client asks for them: each is one command, whose outcome or refusal is its result."""
