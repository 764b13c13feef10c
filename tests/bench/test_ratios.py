"""The comparison of servers runs, at a tiny size, is drawn, and fails where a ratio has fallen."""

from pathlib import Path

import orjson
import pytest

from bench.database import connected
from bench.rivals import compare, plot
from bench.rivals.load import Rate, Ratio
from bench.rivals.results import fallen
from gql_server.generate.load import generate


@pytest.fixture
async def ledger(dsn: str) -> str:
    async with connected(dsn) as engine:
        await generate(engine, pipelines=300, seed=1, provider="ACCRED")
    return dsn


def rates(ours: float, bare: float) -> dict[str, dict[str, list[Rate]]]:
    return {"console": {"ours": [Rate(ours, [1 / ours])], "bare": [Rate(bare, [1 / bare])]}}


@pytest.mark.bench
async def test_servers_are_compared_and_the_figures_drawn(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await compare.run(ledger, rounds=1, seconds=0.2, results=tmp_path / "graph.json")

    found = orjson.loads((tmp_path / "graph.json").read_bytes())
    assert found["rivals"].keys() == {"console", "deep", "facets", "viewer", "wide"}
    assert found["beside"].keys() == {"page", "principal", "processes", "mixed"}
    assert all(of["bare"]["median"] > 0 and of["stock"]["median"] > 0 for of in found["rivals"].values())
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("graph: ")]) == 2

    (tmp_path / "page.md").write_text(f"before\n{plot.BEGIN}old\n{plot.END}after\n")
    plot.publish(found, tmp_path / "page.md", tmp_path / "drawing.svg")
    plot.publish(found, tmp_path / "page.md", tmp_path / "drawing.svg")
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "old" not in page
    assert page.count("| console page") == 1
    drawing = (tmp_path / "drawing.svg").read_text()
    assert drawing.count("gql-server") == 5
    assert drawing.index('fill="white"') < drawing.index("gql-server")


@pytest.mark.bench
async def test_a_ratio_that_has_fallen_ends_the_program(ledger: str, tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.json"
    async with compare.spending(ledger) as (asked, servers):
        await compare.compared(asked, servers, rounds=1, seconds=0.1, recorded=recorded)
        ratios = orjson.loads(recorded.read_bytes())
        assert ratios.keys() == {"console", "deep", "facets", "viewer", "wide"}

        recorded.write_bytes(orjson.dumps({"viewer": {"bare": 100 * ratios["viewer"]["bare"]}}))
        with pytest.raises(SystemExit, match="graph: slower than recorded\nviewer: "):
            await compare.compared(asked, servers, rounds=1, seconds=0.1, recorded=recorded)


def test_a_ratio_may_be_a_fifth_less_than_recorded() -> None:
    assert fallen({"console": {"bare": 0.5, "PostGraphile": 1.5}}, rates(41, 100)) == {}
    assert fallen({"console": {"bare": 0.5}}, rates(39, 100)) == {("console", "bare"): "console: 0.39 × bare, recorded 0.50"}


def test_a_ratio_is_of_neighbours() -> None:
    ours, bare = ([Rate(rate, []) for rate in each] for each in ((10, 40, 90), (20, 50, 100)))
    assert Ratio.of(ours, bare) == (0.8, 0.5, 0.9)
