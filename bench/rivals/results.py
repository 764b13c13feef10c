"""Results: what was measured, as a table, as JSON, and as figures to compare with others."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import orjson

from bench.report import console, quantile, table
from bench.rivals.beside import Beside
from bench.rivals.load import Rate, Ratio
from bench.rivals.operations import OPERATIONS, Operation

Rates = Mapping[str, Mapping[str, Sequence[Rate]]]
Sides = Mapping[str, tuple[Sequence[Rate], Sequence[Rate]]]
FALL = 0.8
"""Of a recorded ratio: less is a fall."""


def show(rates: Rates, *, second: str = "second") -> None:
    """Print the table of rivals; `second` says of what it is one."""
    columns = ("", "ours /s", "× bare", "aim", "× stock", "aim", "× PostGraphile", "aim", "p50 ms", "p99 / p50")
    for each in OPERATIONS:
        console.print(f"{each.name}: {each.title}")
    title = f"graph: requests a {second} at four connections, medians and spread of the rounds"
    table(title, columns, [_row(each, rates) for each in OPERATIONS])


def show_beside(rows: Mapping[str, Beside], sides: Sides) -> None:
    """Print the table of ours beside ours."""
    table(
        "graph: ours beside ours, the rate of the first in those of the second",
        ("", "ours /s", "ratio", "aim", "p50 ms", "p99 / p50"),
        [
            (
                row.title,
                f"{median(rate.per_second for rate in sides[name][0]):,.0f}",
                str(_ratio(row, *sides[name])),
                f"{row.aim:.2f}" if row.aim else "",
                *_times(sides[name][0]),
            )
            for name, row in rows.items()
        ],
    )


def as_json(rates: Rates, rows: Mapping[str, Beside], sides: Sides, **made: Any) -> bytes:
    """Everything of a run: by operation and rival, and ours beside ours."""
    found = {
        "made": made,
        "rivals": {
            operation: {name: Ratio.of(of["ours"], of[name])._asdict() for name in of if name != "ours"}
            | {"ours": _figures(of["ours"])}
            for operation, of in rates.items()
        },
        "beside": {name: {**_ratio(row, *sides[name])._asdict(), **_figures(sides[name][0])} for name, row in rows.items()},
    }
    return orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n"


def fallen(recorded: Mapping[str, Mapping[str, float]], rates: Rates) -> dict[tuple[str, str], str]:
    """Ratios that are less than they were recorded, by more than is noise, in words; by operation and rival."""
    found = medians(rates)
    return {
        (operation, name): f"{operation}: {found[operation][name]:.2f} × {name}, recorded {before:.2f}"
        for operation, of in recorded.items()
        for name, before in of.items()
        if name in found[operation] and found[operation][name] < FALL * before
    }


def medians(rates: Rates) -> dict[str, dict[str, float]]:
    """The ratios to record."""
    return {
        operation: {name: round(Ratio.of(of["ours"], of[name]).median, 2) for name in of if name != "ours"}
        for operation, of in rates.items()
    }


def _ratio(row: Beside, ours: Sequence[Rate], other: Sequence[Rate]) -> Ratio:
    return Ratio(*(row.rows * part for part in Ratio.of(ours, other)))


def _figures(rates: Sequence[Rate]) -> dict[str, float]:
    seconds = [each for rate in rates for each in rate.seconds]
    return {
        "per_second": median(rate.per_second for rate in rates),
        "p50_ms": quantile(seconds, 0.5) * 1000,
        "p99_ms": quantile(seconds, 0.99) * 1000,
    }


def _times(rates: Sequence[Rate]) -> tuple[str, str]:
    figures = _figures(rates)
    return f"{figures['p50_ms']:.1f}", f"{figures['p99_ms'] / figures['p50_ms']:.1f}"


def _row(operation: Operation, rates: Rates) -> tuple[str, ...]:
    of = rates[operation.name]
    return (
        operation.name,
        f"{median(rate.per_second for rate in of['ours']):,.0f}",
        *_cell(of, "bare", operation.bare),
        *_cell(of, "stock", operation.stock),
        *_cell(of, "PostGraphile", operation.postgraphile),
        *_times(of["ours"]),
    )


def _cell(of: Mapping[str, Sequence[Rate]], name: str, aim: float | None) -> tuple[str, str]:
    ratio = str(Ratio.of(of["ours"], of[name])) if name in of else ""
    return ratio, f"{aim:g}" if aim is not None and ratio else ""
