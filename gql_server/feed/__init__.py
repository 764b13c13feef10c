"""The change feed: its tokens, the one reader of a process, and the subscriptions over it."""
