"""The console in Chromium: its first picture, each filter at a million jobs, and a thousand live rows of the client package.

Beside times, which other work on the machine makes longer, stands what does not depend on it: bytes, requests, and the share of
the time in which the page's main thread was busy.
"""

from bench import filters, picture, rows
from bench.database import another


async def run(dsn: str) -> None:
    """Print all figures, beside what is allowed."""
    for part in (picture, rows):
        async with another() as few:
            await part.run(few)
    await filters.run(dsn)
