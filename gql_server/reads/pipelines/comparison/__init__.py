"""A pipeline beside an earlier one."""
