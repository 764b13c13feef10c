"""Saved views: named operations that a viewer keeps, or shares with their provider."""
