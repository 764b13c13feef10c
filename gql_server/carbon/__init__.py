"""The domain slice the server ships with: CSV formats, factors, emissions and statistics. Pure, but for its tables."""
