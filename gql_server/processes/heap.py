"""The garbage collector of a process that serves or works: everything waits for it, so it looks seldom and at little."""

import gc

YOUNG_OBJECTS = 50_000
"""New objects before it looks at these, for some milliseconds: more than the rows of several pages at once, which are gone by
then without its help. With 5,000 it took a twentieth of a page of lists."""
ROUNDS = 5, 10


def settle() -> None:
    """Keep what is there by now for good: to look for garbage in some hundred thousand objects takes a tenth of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *ROUNDS)
