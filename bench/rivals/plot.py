"""`python -m bench.rivals.plot` writes `docs/performance.svg` and the tables of `docs/performance.md`, of the last run."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import orjson

from bench.rivals.compare import RESULTS, ROOT
from bench.rivals.operations import OPERATIONS, Operation

PAGE = ROOT / "docs" / "performance.md"
DRAWING = ROOT / "docs" / "performance.svg"
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->\n"
WIDTH, LEFT, BAR, GAP = 760, 90, 18, 22
SCALE = WIDTH - LEFT - 160
TITLE = "Requests a second, in those of a handler written by hand"
COLOURS = {"bare handler": "#9aa5b1", "gql-server": "#1f6feb", "PostGraphile": "#bf8700", "stock Strawberry": "#cf222e"}
BESIDE = {
    "page": "page 1,000, in one near the newest",
    "principal": "a principal's page, in a superadmin's of that unit",
    "processes": "two processes, in one",
    "mixed": "everything while 200 follow 20 changes a second, in everything alone",
}
Results = Mapping[str, Any]


def bars(of: Mapping[str, Any]) -> dict[str, float]:
    """Rates of the servers in those of the bare handler, by name."""
    ours = of["bare"]["median"]
    rivals = {"PostGraphile": "PostGraphile", "stock Strawberry": "stock"}
    return {
        "bare handler": 1.0,
        "gql-server": ours,
        **{shown: ours / of[name]["median"] for shown, name in rivals.items() if name in of},
    }


def drawing(results: Results) -> str:
    """The rates of all servers as bars, in those of the bare handler; a line where ours aims at."""
    svg = Element("svg", xmlns="http://www.w3.org/2000/svg", width=str(WIDTH), role="img")
    svg.set("font-family", "system-ui, sans-serif")
    svg.set("font-size", "12")
    SubElement(svg, "title").text = TITLE
    SubElement(svg, "rect", width="100%", height="100%", fill="white")
    y = GAP
    for operation in OPERATIONS:
        _text(svg, 0, y + BAR * 0.75, operation.name, weight="bold")
        y = _operation(svg, y, operation, bars(results["rivals"][operation.name])) + GAP
    svg.set("height", str(y))
    svg.set("viewBox", f"0 0 {WIDTH} {y}")
    indent(svg)
    return tostring(svg, encoding="unicode") + "\n"


def tables(results: Results) -> str:
    """The figures as two tables of Markdown."""
    rivals = [_rival(each, results["rivals"][each.name]) for each in OPERATIONS]
    beside = [_beside(title, results["beside"][name]) for name, title in BESIDE.items() if name in results["beside"]]
    return "\n".join(
        [
            *_table(
                ("", "requests/s", "× bare", "aim", "× PostGraphile", "aim", "× stock", "aim", "p50 ms", "p99 / p50"), rivals
            ),
            "",
            *_table(("ours beside ours", "requests/s", "ratio", "p50 ms", "p99 / p50"), beside),
            "",
        ]
    )


def publish(results: Results, page: Path, to: Path) -> None:
    """Write the drawing, and the tables where the page has its marks."""
    to.write_text(drawing(results))
    before, rest = page.read_text().split(BEGIN)
    picture = f"![{TITLE}]({to.name})"
    page.write_text(f"{before}{BEGIN}\n{picture}\n\n{tables(results)}\n{END}{rest.split(END)[1]}")


def _operation(svg: Element, y: float, operation: Operation, found: Mapping[str, float]) -> float:
    top = y
    for name, value in found.items():
        length = min(value, 1.08) * SCALE
        SubElement(svg, "rect", x=str(LEFT), y=f"{y:g}", width=f"{length:.1f}", height=str(BAR - 3), fill=COLOURS[name])
        _text(svg, LEFT + length + 6, y + BAR * 0.7, f"{name} {value:.2f}")
        y += BAR
    if operation.bare:
        x = f"{LEFT + operation.bare * SCALE:.1f}"
        SubElement(svg, "line", x1=x, x2=x, y1=f"{top - 3:g}", y2=f"{y:g}", stroke="#57606a").set("stroke-dasharray", "3 3")
    return y


def _text(svg: Element, x: float, y: float, text: str, *, weight: str = "normal") -> None:
    label = SubElement(svg, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill="#24292f")
    label.set("font-weight", weight)
    label.text = text


def _rival(operation: Operation, of: Mapping[str, Any]) -> Sequence[str]:
    ours = of["ours"]
    aims = {"bare": operation.bare, "PostGraphile": operation.postgraphile, "stock": operation.stock}
    cells = [cell for name, aim in aims.items() for cell in (_ratio(of[name]) if name in of else "", f"{aim:g}" if aim else "")]
    return (operation.title, f"{ours['per_second']:,.0f}", *cells, *_times(ours))


def _beside(title: str, of: Mapping[str, Any]) -> Sequence[str]:
    return (title, f"{of['per_second']:,.0f}", _ratio(of), *_times(of))


def _ratio(of: Mapping[str, float]) -> str:
    return f"{of['median']:.2f} ({of['least']:.2f}-{of['greatest']:.2f})"


def _times(of: Mapping[str, float]) -> tuple[str, str]:
    return f"{of['p50_ms']:.1f}", f"{of['p99_ms'] / of['p50_ms']:.1f}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":
    publish(orjson.loads(RESULTS.read_bytes()), PAGE, DRAWING)
