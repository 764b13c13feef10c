"""What happened to a pipeline and its jobs, in order of time."""
