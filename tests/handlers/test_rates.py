"""Purchases are converted at the rates of their year, which a reference file says, with their source."""

from typing import Any

import pytest
from sqlalchemy import insert, text

from gql_server.carbon.catalog import entry_types_of
from gql_server.db.models import TargetType
from gql_server.db.models.carbon import ReferenceData
from gql_server.errors import BadInput
from tests.graphql import Client
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
    told = f"1 recalculated, 1 without an exchange rate — first error: {NO_RATES}"
    assert (job.result, job.status_message) == ("WARNING", told)
    assert (job.meta["recalculation"]["without_rate"], job.meta["recalculation"]["errors"]) == (1, 0)
    assert job.failure_class == "MISSING_EXCHANGE_RATE"
    assert await bought.totals(5) == {"10208": (0.0, 1, 0.0), "10209": (100.0, 1, 100.0)}


BOARD = """{ pipelines(first: 1) { nodes { status tone } }
  freshness(year: 2025) { module { key } freshness needsRecalculation readiness { isIncomplete }
    totals { kgCo2eq entryCount entriesWithoutEmission withoutEmission { reason entryCount } } }
  yearConfiguration(by: { year: 2025 }) { readiness { ready blockers { code message module { key } } } }
  health { staleScopes { module { key } } } }"""


async def board(world: World) -> dict[str, Any]:
    """Totals and freshness of purchases, as the screens show them."""
    said = await Client(world.engine, "operator", provider="ACCRED").query(BOARD)
    (cell,) = [cell for cell in said["freshness"] if cell["module"]["key"] == "purchase"]
    blockers = said["yearConfiguration"]["readiness"]["blockers"]
    return {
        "pipeline": tuple(said["pipelines"]["nodes"][0].values()),
        "freshness": cell["freshness"],
        "needsRecalculation": cell["needsRecalculation"],
        "totals": cell["totals"],
        "isIncomplete": cell["readiness"]["isIncomplete"],
        "blockers": [each["code"] for each in blockers if each["module"] and each["module"]["key"] == "purchase"],
        "isStale": "purchase" in [scope["module"]["key"] for scope in said["health"]["staleScopes"]],
    }


def counted(kilograms: float, entries: int, **lacking: int) -> dict[str, Any]:
    return {
        "kgCo2eq": kilograms,
        "entryCount": entries,
        "entriesWithoutEmission": sum(lacking.values()),
        "withoutEmission": [{"reason": reason, "entryCount": count} for reason, count in lacking.items()],
    }


async def test_every_screen_says_that_purchases_have_no_emission_for_want_of_a_rate_until_it_comes(bought: World) -> None:
    await bought.upload("purchase", PURCHASES + FRANCS + EUROS + FRANCS.replace("S100", "S999"), data_entry_type_id=SERVICES)
    without = await board(bought)

    await rates(bought, RATES)
    converted = await board(bought)
    await bought.factors("purchase", PURCHASE_FACTORS + "eur,services,S999,Autre,,1\n")
    computed = await board(bought)

    assert without == {
        "pipeline": ("SUCCESS", "WARNING"),
        "freshness": "ENTRIES_WITHOUT_EMISSION",
        "needsRecalculation": False,
        "totals": counted(100.0, 3, MISSING_FACTOR=1, MISSING_EXCHANGE_RATE=1),
        "isIncomplete": True,
        "blockers": ["MISSING_EXCHANGE_RATE"],
        "isStale": False,
    }
    assert converted == without | {
        "totals": counted(225.0, 3, MISSING_FACTOR=1),
        "isIncomplete": False,
        "blockers": [],
    }
    assert computed == converted | {
        "pipeline": ("SUCCESS", "SUCCESS"),
        "freshness": "FRESH",
        "totals": counted(475.0, 3),
    }


async def test_a_year_whose_rates_lack_a_currency_that_purchases_are_in_is_not_ready_until_it_comes(bought: World) -> None:
    await rates(bought, "currency,per_eur,source\nusd,1.25,Treasury\n")
    needed_by_none = await board(bought)
    await bought.upload("purchase", PURCHASES + FRANCS)
    without = await board(bought)

    await rates(bought, RATES)
    converted = await board(bought)

    assert (needed_by_none["isIncomplete"], needed_by_none["blockers"]) == (False, [])
    assert (without["isIncomplete"], without["blockers"]) == (True, ["MISSING_EXCHANGE_RATE"])
    assert without["totals"] == counted(0.0, 1, MISSING_EXCHANGE_RATE=1)
    assert (converted["isIncomplete"], converted["blockers"]) == (False, [])
    assert converted["totals"] == counted(125.0, 1)


async def test_where_no_purchase_at_all_can_be_converted_the_others_emissions_are_none_either(bought: World) -> None:
    await rates(bought, RATES)
    await bought.upload("purchase", PURCHASES + FRANCS)
    assert (await bought.totals(5))["10208"] == (125.0, 1, 125.0)

    pipeline_id = await rates(bought, "currency,per_eur,source\nusd,1.25,Treasury\n")

    job = await services(bought, pipeline_id)
    assert (job.result, job.failure_class) == ("WARNING", "MISSING_EXCHANGE_RATE")
    assert (await bought.totals(5))["10208"] == (0.0, 1, 0.0)
    assert (await board(bought))["totals"] == counted(0.0, 1, MISSING_EXCHANGE_RATE=1)


async def test_entries_of_a_recalculation_that_failed_are_counted_as_not_computed(bought: World) -> None:
    broken = "UPDATE factors SET values = values - 'ef_kg_co2eq_per_currency'"
    async with bought.engine.begin() as connection:
        await connection.execute(text(broken))

    await bought.upload("purchase", PURCHASES + EUROS)

    said = await board(bought)
    assert (said["pipeline"], said["freshness"]) == (("PARTIAL", "WARNING"), "LAST_RECALCULATION_FAILED")
    assert said["totals"] == counted(0.0, 1, NOT_COMPUTED=1)


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


async def test_reference_data_of_purchases_that_says_no_rate_is_none_and_hides_none(bought: World) -> None:
    await bought.create_year(2024)
    await bought.upload("purchase", PURCHASE_FACTORS, target=TargetType.FACTORS, year=2024)
    async with bought.engine.begin() as connection:
        values = {"provider": "ACCRED", "year": 2024, "module_type_id": 5, "key": "A1", "data": {"name": "Fournisseur"}}
        await connection.execute(insert(ReferenceData).values(values))

    await bought.upload("purchase", PURCHASES + FRANCS, year=2024)

    (emission,) = await bought.query("SELECT kg_co2eq FROM data_entry_emissions")
    assert emission.kg_co2eq == 105.263157895


async def test_what_is_no_rate_is_a_row_error(bought: World) -> None:
    bad = "CHF,1,Twice\ngbp,0,Zero\neur,2,Euro\nsek,11,\nbtc,1,Coin\njpy,-1,Minus\n"

    pipeline_id = await rates(bought, RATES + bad, max_rejected_share=1)

    assert await bought.row_errors(pipeline_id) == [
        (3, "the file gives this currency twice: “chf”"),
        (4, "per_eur must be greater than 0, not 0"),
        (5, "the rate of eur is 1"),
        (6, "source is blank"),
        (7, "currency must be 'aud', 'cad', 'chf', 'cny', 'eur', 'gbp', 'jpy', 'sek' or 'usd', not “btc”"),
        (8, "per_eur must be greater than 0, not -1"),
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
