"""When a running pipeline will end, from how long its like took."""
