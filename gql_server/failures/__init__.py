"""Failures by cause: how they are classified, grouped and acknowledged."""
