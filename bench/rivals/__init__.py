"""Our server beside what a team could use instead: the same answers from the same rows, in one interleaved run."""
