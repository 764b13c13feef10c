"""Purchases are converted at the rates of their year, which a reference file says, with their source."""

from typing import Any

import pytest

from gql_server.carbon.catalog import entry_types_of
from gql_server.db.models import TargetType
from gql_server.errors import BadInput
from tests.handlers.conftest import PURCHASE_FACTORS, World

PURCHASES = "unit_institutional_id,name,purchase_institutional_code,total_spent_amount,currency\n"
FRANCS, EUROS = "10208,Conseil,S100,200,chf\n", "10209,Conseil,S100,200,eur\n"
RATES = "currency,per_eur,source\nchf,0.8,Treasury\nusd,1.25,Treasury\n"
NO_RATES = "there are no exchange rates for 2025: upload them as reference data of purchase"
SERVICES = 64


async def rates(world: World, content: str, **ingestion: Any) -> Any:
    return await world.upload("purchase", content, target=TargetType.REFERENCE_DATA, **ingestion)


async def services(world: World, pipeline_id: Any) -> Any:
    return next(job for job in await world.jobs(pipeline_id) if job.data_entry_type_id == SERVICES)


@pytest.fixture
async def bought(world: World) -> World:
    await world.factors("purchase", PURCHASE_FACTORS)
    return world


async def test_a_year_without_rates_says_so_and_computes_what_needs_none(bought: World) -> None:
    pipeline_id = await bought.upload("purchase", PURCHASES + FRANCS + EUROS)

    job = await services(bought, pipeline_id)
    assert (job.result, job.status_message) == ("WARNING", f"1 recalculated, 1 failed — first error: {NO_RATES}")
    assert job.failure_class == "MISSING_EXCHANGE_RATE"
    assert await bought.totals(5) == {"10208": (0.0, 1, 0.0), "10209": (100.0, 1, 100.0)}


async def test_uploaded_rates_are_applied_at_once_and_their_source_is_kept(bought: World) -> None:
    await bought.upload("purchase", PURCHASES + FRANCS + EUROS)

    pipeline_id = await rates(bought, RATES)

    root, *others = await bought.jobs(pipeline_id)
    assert (root.job_type, root.result) == ("reference_ingest", "SUCCESS")
    assert [job.data_entry_type_id for job in others] == [*entry_types_of(5), None]
    assert await bought.totals(5) == {"10208": (125.0, 1, 125.0), "10209": (100.0, 1, 100.0)}
    (emission,) = await bought.query("SELECT meta FROM data_entry_emissions WHERE kg_co2eq = 125")
    assert emission.meta == {"ef_kg_co2eq_per_currency": 0.5, "exchange_rate": 1.25}
    assert (await services(bought, pipeline_id)).meta["recalculation"]["exchange_rates"] == ["Treasury"]


async def test_a_file_replaces_the_rates_of_its_year_only_and_all_of_them(bought: World) -> None:
    await bought.create_year(2026)
    await rates(bought, RATES)
    await rates(bought, RATES.replace("0.8", "0.5"), year=2026)
    await bought.upload("purchase", PURCHASES + FRANCS)

    await rates(bought, "currency,per_eur,source\nchf,0.4,Council\n")

    assert (await bought.totals(5))["10208"] == (250.0, 1, 250.0)
    stored = await bought.query("SELECT year, key, data FROM reference_data ORDER BY year, key")
    assert [(row.year, row.key, row.data) for row in stored] == [
        (2025, "chf", {"per_eur": 0.4, "source": "Council"}),
        (2026, "chf", {"per_eur": 0.5, "source": "Treasury"}),
        (2026, "usd", {"per_eur": 1.25, "source": "Treasury"}),
    ]


async def test_the_year_2024_has_rates_of_its_own(bought: World) -> None:
    await bought.create_year(2024)
    await bought.upload("purchase", PURCHASE_FACTORS, target=TargetType.FACTORS, year=2024)

    pipeline_id = await bought.upload("purchase", PURCHASES + FRANCS, year=2024)

    (emission,) = await bought.query("SELECT kg_co2eq FROM data_entry_emissions")
    assert emission.kg_co2eq == 105.263157895
    sources = (await services(bought, pipeline_id)).meta["recalculation"]["exchange_rates"]
    assert sources == ["European Central Bank, average of 2024, rounded"]


async def test_what_is_no_rate_is_a_row_error(bought: World) -> None:
    bad = "CHF,1,Twice\ngbp,0,Zero\neur,2,Euro\nsek,11,\nbtc,1,Coin\n"

    pipeline_id = await rates(bought, RATES + bad, max_rejected_share=1)

    assert await bought.row_errors(pipeline_id) == [
        (3, "the file gives this currency twice: “chf”"),
        (4, "per_eur must be greater than 0, not 0"),
        (5, "the rate of eur is 1"),
        (6, "source is blank"),
        (7, "currency must be 'aud', 'cad', 'chf', 'cny', 'eur', 'gbp', 'jpy', 'sek' or 'usd', not “btc”"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("currency,per_eur\nchf,1\n", "missing column source"),
        ("key,value\nchf,1\n", "missing columns currency, per_eur, source"),
    ],
)
async def test_a_file_of_other_columns_is_refused(bought: World, content: str, message: str) -> None:
    (root,) = await bought.jobs(await rates(bought, content))

    assert (root.result, root.status_message) == ("ERROR", message)


async def test_rates_are_of_the_whole_module(bought: World) -> None:
    with pytest.raises(BadInput, match="reference data of purchase is of the whole module"):
        await rates(bought, RATES, data_entry_type_id=SERVICES)
