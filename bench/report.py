"""Small tables on the terminal."""

import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

console = Console(width=None if sys.stdout.isatty() else 160)  # a file is not 80 columns wide


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under a title; the first column is a name, the others are numbers."""
    shown = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        shown.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)


def growing(title: str, columns: Sequence[str], *, name_width: int = 48) -> Callable[[Sequence[str]], None]:
    """Print a title and columns, and return what prints a row: for figures that take minutes, each as soon as it is known."""

    def line(row: Sequence[str]) -> None:
        numbers = [f"{number:>{len(column) + 1}}" for number, column in zip(row[1:], columns[1:], strict=True)]
        console.print(f"{row[0]:<{name_width}}", *numbers, soft_wrap=True)

    console.print(title, style="bold")
    line(columns)
    return line


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
