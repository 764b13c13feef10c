"""Keyset pages: opaque signed cursors, the window they cut out of a list, and the page it yields."""
