"""The change feed and the subscriptions as a client sees them."""
