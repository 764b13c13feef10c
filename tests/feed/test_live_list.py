"""A live list: what enters, changes and leaves it, from exactly where a page was read."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.plans import recorded
from gql_server.db import connect_arguments
from gql_server.db.models import EntityType, JobResult, JobState
from gql_server.feed import list_reader, list_state
from gql_server.feed.events import Reading
from gql_server.feed.hub import Hub
from gql_server.feed.list_reader import ListReader
from gql_server.feed.live_list import ListSource
from gql_server.feed.tokens import Position
from gql_server.graph import events
from gql_server.graph.nodes import encode
from gql_server.reads.pagination.windows import newest
from gql_server.reads.pipelines.filter import PipelineCriteria
from tests import build
from tests.graphql import Client, context, opened, sealed, subscribed, viewer

LIST = """subscription ($filter: PipelineFilter, $after: FeedToken, $snapshot: Boolean) {
  pipelines(filter: $filter, after: $after, snapshot: $snapshot, throttleMs: 0) {
    __typename token
    ... on FeedSnapshot { pipelines { nodes { kindRaw status } } }
    ... on PipelineEntered { position newerNodeId olderNodeId pipeline { id kindRaw status } }
    ... on PipelineChanged { changed changedJobs { jobId } pipeline { kindRaw status } }
    ... on PipelineLeft { pipelineNodeId leaveReason }
    ... on FeedReset { resetReason }
  }
}"""
PAGE = "query ($filter: PipelineFilter) { pipelines(filter: $filter) { nodes { kindRaw } feedToken } }"
POLL = """query ($after: FeedToken!, $filter: PipelineFilter, $first: Int) {
  changes(after: $after, filter: $filter, first: $first) { hasMore nextToken events {
    __typename token
    ... on PipelineEntered { position pipeline { kindRaw id } } ... on PipelineChanged { pipeline { kindRaw id } }
    ... on PipelineLeft { pipelineNodeId } ... on FeedReset { resetReason }
  } }
}"""
FAILED = {"status": {"in": ["FAILED"]}}


@pytest.fixture
async def hub(dsn: str) -> AsyncIterator[Hub]:
    hub = Hub(connect_arguments(dsn, "hub"), poll_seconds=60)
    task = asyncio.create_task(hub.run())
    async with asyncio.timeout(60):
        await hub.connected.wait()
    yield hub
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _next(results: AsyncIterator[Any]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        result = await anext(results)
    assert result.errors is None
    return result.data["pipelines"]


def _said(event: dict[str, Any]) -> tuple[str, str]:
    """Sort of an event, and its pipeline."""
    about = event["pipeline"]["kindRaw"] if "pipeline" in event else event.get("pipelineNodeId", "")
    return event["__typename"], about


async def _running(engine: AsyncEngine, kind: str, **values: Any) -> tuple[UUID, int]:
    async with engine.begin() as connection:
        key = await build.pipeline(connection, kind=kind, **values)
        job_id = await build.job(connection, key, state=JobState.RUNNING)
        await build.settle(connection, key)
    return key, job_id


async def _finish(engine: AsyncEngine, key: UUID, job_id: int, result: JobResult = JobResult.SUCCESS) -> None:
    async with engine.begin() as connection:
        await build.finish(connection, job_id, result)
        await build.settle(connection, key)
        await build.notify(connection)


async def test_a_list_begins_with_its_page_and_goes_on_from_it(engine: AsyncEngine, hub: Hub):
    key, job_id = await _running(engine, "old")

    async with subscribed(context(engine, viewer("operator"), hub), LIST) as results:
        snapshot = await _next(results)
        await _finish(engine, key, job_id)
        changed = await _next(results)
        await _running(engine, "new")
        async with engine.begin() as connection:
            await build.notify(connection)
        entered = await _next(results)

    assert snapshot["pipelines"]["nodes"] == [{"kindRaw": "old", "status": "RUNNING"}]
    assert (_said(changed), changed["pipeline"]["status"]) == (("PipelineChanged", "old"), "SUCCESS")
    assert [job["jobId"] for job in changed["changedJobs"]] == [job_id]
    assert (_said(entered), entered["position"]) == (("PipelineEntered", "new"), "HEAD")


async def test_a_pipeline_enters_and_leaves_a_filter_as_it_changes(engine: AsyncEngine, hub: Hub):
    key, job_id = await _running(engine, "one")
    async with engine.begin() as connection:
        await build.run(connection, JobResult.ERROR, kind="newer failure")
    reader = context(engine, viewer("operator"), hub)

    async with subscribed(reader, LIST, filter=FAILED, snapshot=False) as results:
        following = asyncio.ensure_future(_next(results))
        await asyncio.sleep(0.2)
        await _finish(engine, key, job_id, JobResult.ERROR)
        entered = await following
        async with engine.begin() as connection:
            await build.change(connection, job_id, result=JobResult.SUCCESS)
            await build.settle(connection, key)
            await build.notify(connection)
        left = await _next(results)

    assert (_said(entered), entered["position"]) == (("PipelineEntered", "one"), "ELSEWHERE")
    assert (_said(left), left["leaveReason"]) == (("PipelineLeft", encode("Pipeline", key)), "NO_LONGER_MATCHES")


async def test_a_page_goes_live_from_its_own_reading(engine: AsyncEngine, hub: Hub):
    await _running(engine, "before")
    page = (await Client(engine, "operator").query(PAGE))["pipelines"]
    await _running(engine, "between")

    async with subscribed(context(engine, viewer("operator"), hub), LIST, after=page["feedToken"]) as results:
        entered = await _next(results)

    assert [node["kindRaw"] for node in page["nodes"]] == ["before"]
    assert _said(entered) == ("PipelineEntered", "between")


async def test_an_empty_page_goes_live_too(engine: AsyncEngine, hub: Hub):
    page = (await Client(engine, "operator").query(PAGE, filter=FAILED))["pipelines"]
    async with engine.begin() as connection:
        await build.run(connection, JobResult.ERROR, kind="failed")

    async with subscribed(context(engine, viewer("operator"), hub), LIST, filter=FAILED, after=page["feedToken"]) as results:
        entered = await _next(results)

    assert page["nodes"] == []
    assert _said(entered) == ("PipelineEntered", "failed")


async def test_each_event_resumes_right_after_itself(engine: AsyncEngine, hub: Hub):
    page = (await Client(engine, "operator").query(PAGE))["pipelines"]
    reader = context(engine, viewer("operator"), hub)
    async with engine.begin() as connection:
        for number in range(5):
            await build.pipeline(connection, kind=f"kind {number}")

    seen, after = [], page["feedToken"]
    for _ in range(5):
        async with subscribed(reader, LIST, after=after) as results:
            event = await _next(results)
        seen.append(_said(event))
        after = event["token"]

    assert seen == [("PipelineEntered", f"kind {number}") for number in range(5)]


async def test_what_a_viewer_may_not_see_makes_no_event(engine: AsyncEngine, hub: Hub):
    own = {"unit_institutional_id": "A", "entity_type": EntityType.MODULE_UNIT_SPECIFIC}
    key, job_id = await _running(engine, "own", **own)
    reader = context(engine, viewer("principal", "A"), hub)

    async with subscribed(reader, LIST) as results:
        snapshot = await _next(results)
        other, other_job = await _running(engine, "others")
        await _finish(engine, other, other_job)
        await _finish(engine, key, job_id)
        changed = await _next(results)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE pipelines SET unit_institutional_id = 'B' WHERE id = :id"), {"id": key})
            await build.change(connection, job_id, status_message="moved")
            await build.notify(connection)
        left = await _next(results)

    assert [node["kindRaw"] for node in snapshot["pipelines"]["nodes"]] == ["own"]
    assert _said(changed) == ("PipelineChanged", "own")
    assert (left["pipelineNodeId"], left["leaveReason"]) == (encode("Pipeline", key), "ACCESS_REVOKED")


async def test_a_token_whose_history_is_gone_resets_the_list(engine: AsyncEngine, hub: Hub):
    await _running(engine, "kept")
    token = sealed(Position("elsewhere.1", 1))

    async with subscribed(context(engine, viewer("operator"), hub), LIST, after=token) as results:
        reset, snapshot = await _next(results), await _next(results)

    assert (reset["__typename"], reset["resetReason"]) == ("FeedReset", "SERVER_RESTART")
    assert [node["kindRaw"] for node in snapshot["pipelines"]["nodes"]] == ["kept"]


async def test_polling_tells_the_same_in_slices(engine: AsyncEngine):
    client = Client(engine, "operator")
    after = (await client.query(PAGE))["pipelines"]["feedToken"]
    key, job_id = await _running(engine, "first")
    await _running(engine, "second")

    first = (await client.query(POLL, after=after, first=1))["changes"]
    second = (await client.query(POLL, after=first["nextToken"], first=1))["changes"]
    await _finish(engine, key, job_id)
    third = (await client.query(POLL, after=second["nextToken"]))["changes"]
    failed = (await client.query(POLL, after=second["nextToken"], filter=FAILED))["changes"]
    quiet = (await client.query(POLL, after=third["nextToken"]))["changes"]
    lost = (await client.query(POLL, after=sealed(Position("elsewhere.1", 1))))["changes"]

    assert (list(map(_said, first["events"])), first["hasMore"]) == ([("PipelineEntered", "first")], True)
    assert (list(map(_said, second["events"])), second["hasMore"]) == ([("PipelineEntered", "second")], False)
    assert list(map(_said, third["events"])) == [("PipelineChanged", "first")]
    assert list(map(_said, failed["events"])) == [("PipelineLeft", encode("Pipeline", key))]
    assert (quiet["events"], opened(quiet["nextToken"]), quiet["hasMore"]) == ([], opened(third["nextToken"]), False)
    assert [event["__typename"] for event in lost["events"]] == ["FeedReset", "FeedSnapshot"]
    assert lost["events"][0]["resetReason"] == "SERVER_RESTART"


async def test_a_snapshot_can_be_paged_through(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        for number in range(3):
            await build.pipeline(connection, kind=f"kind {number}")
    pages = """subscription { pipelines { ... on FeedSnapshot {
      whole: pipelines { nodes { kindRaw } }
      first: pipelines(first: 1) { nodes { kindRaw } pageInfo { endCursor hasNextPage } }
    } } }"""

    async with subscribed(context(engine, viewer("operator"), hub), pages) as results:
        shown = await _next(results)
    after = shown["first"]["pageInfo"]["endCursor"]
    rest = await Client(engine, "operator").query(
        "query ($after: String) { pipelines(after: $after) { nodes { kindRaw } } }", after=after
    )

    assert [node["kindRaw"] for node in shown["whole"]["nodes"]] == ["kind 2", "kind 1", "kind 0"]
    assert [node["kindRaw"] for node in shown["first"]["nodes"]] == ["kind 2"]
    assert shown["first"]["pageInfo"]["hasNextPage"] is True
    assert [node["kindRaw"] for node in rest["pipelines"]["nodes"]] == ["kind 1", "kind 0"]


async def _seen_since(engine: AsyncEngine, hub: Hub, after: str, count: int, **variables: Any) -> list[dict[str, Any]]:
    """So many events of a client that comes again, and what it is told by polling instead."""
    async with subscribed(context(engine, viewer("operator"), hub), LIST, after=after, **variables) as results:
        told = [await _next(results) for _ in range(count)]
    polled = (await Client(engine, "operator").query(POLL, after=after, **variables))["changes"]["events"]
    assert list(map(_said, polled)) == list(map(_said, told))
    return told


async def test_an_event_after_a_resume_is_relative_to_what_the_token_says_its_client_holds(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        held = {kind: await build.run(connection, JobResult.ERROR, kind=kind) for kind in ("stays", "goes")}
    fails, failing = await _running(engine, "fails")
    succeeds, succeeding = await _running(engine, "succeeds")
    page = (await Client(engine, "operator").query(PAGE, filter=FAILED))["pipelines"]
    async with engine.begin() as connection:
        [stays, goes] = await connection.scalars(text("SELECT id FROM data_ingestion_jobs ORDER BY id LIMIT 2"))
    await _finish(engine, succeeds, succeeding)
    await _finish(engine, fails, failing, JobResult.ERROR)
    async with engine.begin() as connection:
        await build.change(connection, stays, status_message="failed otherwise")
    await _finish(engine, held["goes"], goes)

    told = await _seen_since(engine, hub, page["feedToken"], 3, filter=FAILED)
    again = await _seen_since(engine, hub, told[0]["token"], 2, filter=FAILED)

    assert list(map(_said, told)) == [
        ("PipelineEntered", "fails"),
        ("PipelineChanged", "stays"),
        ("PipelineLeft", encode("Pipeline", held["goes"])),
    ]
    assert again == [{**event, "token": later["token"]} for event, later in zip(told[1:], again, strict=True)]


async def test_a_pipeline_that_enters_says_between_which_it_belongs(engine: AsyncEngine, hub: Hub):
    running = [await _running(engine, kind) for kind in ("oldest", "middle", "newest")]
    [oldest, middle, newest] = [encode("Pipeline", key) for key, _ in running]
    token = (await Client(engine, "operator").query(PAGE, filter=FAILED))["pipelines"]["feedToken"]
    for number in (0, 2, 1):
        await _finish(engine, *running[number], JobResult.ERROR)

    told = await _seen_since(engine, hub, token, 3, filter=FAILED)

    places = [(event["pipeline"]["id"], event["position"], event["newerNodeId"], event["olderNodeId"]) for event in told]
    assert places == [
        (oldest, "HEAD", None, None),
        (newest, "HEAD", None, oldest),
        (middle, "ELSEWHERE", newest, oldest),
    ]


async def test_a_client_that_lost_sight_of_a_pipeline_while_away_is_told(engine: AsyncEngine, hub: Hub):
    who = viewer("principal", "A")
    own = {"unit_institutional_id": "A", "entity_type": EntityType.MODULE_UNIT_SPECIFIC}
    key, job_id = await _running(engine, "own", **own)
    async with subscribed(context(engine, who, hub), LIST) as results:
        token = (await _next(results))["token"]
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE pipelines SET unit_institutional_id = 'B' WHERE id = :id"), {"id": key})
        await build.change(connection, job_id, status_message="moved")

    async with subscribed(context(engine, who, hub), LIST, after=token) as results:
        left = await _next(results)

    assert (left["pipelineNodeId"], left["leaveReason"]) == (encode("Pipeline", key), "ACCESS_REVOKED")


async def test_polling_counts_only_what_its_viewer_may_see(engine: AsyncEngine):
    own = {"unit_institutional_id": "A", "entity_type": EntityType.MODULE_UNIT_SPECIFIC}
    client = Client(engine, "principal", unit="A")
    token = (await client.query(PAGE))["pipelines"]["feedToken"]
    for number in range(5):
        await _running(engine, f"others {number}")
    quiet = (await client.query(POLL, after=token, first=1))["changes"]
    await _running(engine, "own", **own)
    await _running(engine, "others at last")

    told = (await client.query(POLL, after=token, first=1))["changes"]

    assert (quiet["events"], quiet["hasMore"]) == ([], False)
    assert ([_said(event) for event in told["events"]], told["hasMore"]) == ([("PipelineEntered", "own")], False)


async def test_a_finished_pipeline_is_not_told_again_because_another_takes_its_place(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        key = await build.pipeline(connection, kind="before")
        job_id = await build.job(connection, key, result=JobResult.SUCCESS, is_current=True)
        await build.settle(connection, key)
    token = (await Client(engine, "operator").query(PAGE))["pipelines"]["feedToken"]
    async with engine.begin() as connection:
        await build.change(connection, job_id, is_current=False)
        await connection.execute(text("UPDATE data_ingestion_jobs SET meta = meta, attempts = attempts, state = state"))
    await _running(engine, "after")

    assert list(map(_said, await _seen_since(engine, hub, token, 1))) == [("PipelineEntered", "after")]


@pytest.mark.parametrize("filter", [None, FAILED], ids=["all", "failed"])
async def test_polling_while_much_happens_repeats_nothing_and_never_goes_back(engine: AsyncEngine, filter: Any):
    client = Client(engine, "operator")
    page = (await client.query(PAGE, filter=filter))["pipelines"]
    token, held, told = page["feedToken"], set[str](), list[tuple[Any, ...]]()
    at = opened(token)
    writing = [asyncio.create_task(_live_a_while(engine, number)) for number in range(3)]
    is_last = False
    while not is_last:
        is_last = all(task.done() for task in writing)
        slice = (await client.query(POLL, after=token, filter=filter, first=2))["changes"]
        is_last &= not slice["hasMore"]
        for event in slice["events"]:
            assert opened(event["token"]) > at
            at = opened(event["token"])
            told.append((at.sequence, event["__typename"]))
            id = event["pipeline"]["id"] if "pipeline" in event else event["pipelineNodeId"]
            assert (id in held) == (event["__typename"] != "PipelineEntered")
            if event.get("position") == "HEAD":
                assert all(_order(id) > _order(other) for other in held)
            (held.discard if event["__typename"] == "PipelineLeft" else held.add)(id)
        assert opened(slice["nextToken"]) >= at
        token, at = slice["nextToken"], opened(slice["nextToken"])
    await asyncio.gather(*writing)

    now = await client.query("query ($filter: PipelineFilter) { pipelines(filter: $filter) { nodes { id } } }", filter=filter)
    assert held == {node["id"] for node in now["pipelines"]["nodes"]}
    assert len(told) == len(set(told)) >= 6


def _order(id: str) -> str:
    return b64decode(id).decode()


async def _live_a_while(engine: AsyncEngine, number: int) -> None:
    """Four pipelines that run, fail, and are mended."""
    for turn in range(4):
        key, job_id = await _running(engine, f"{number}.{turn}")
        for message in range(3):
            async with engine.begin() as connection:
                await build.change(connection, job_id, status_message=f"row {message}")
        await _finish(engine, key, job_id, JobResult.ERROR)
        if turn % 2:
            await _finish(engine, key, job_id)


async def test_what_a_catch_up_reads_while_others_are_told_is_told_with_reads_of_its_own(engine: AsyncEngine, hub: Hub):
    reader = ListReader(engine, viewer("operator"), PipelineCriteria(), newest(25))
    renewals: list[None] = []
    source = ListSource(hub, reader, renew=lambda: renewals.append(None))
    running = [await _running(engine, kind) for kind in ("one", "two", "three")]
    async with source.attach():
        await source.begin()
        for key, job_id in running[:2]:
            await _finish(engine, key, job_id)
        live: Any = source.live()
        async with aclosing(live) as events:
            async with asyncio.timeout(60):
                told = [(await anext(events), len(renewals))]
            await _finish(engine, *running[2])
            joining = ListSource(hub, reader, renew=lambda: None)
            assert [event async for event in joining.catch_up(None, source)] == []
            async with asyncio.timeout(60):
                told += [(await anext(events), len(renewals)) for _ in range(2)]

    keys = [(event.row.key, renewal) for event, renewal in told if isinstance(event, Reading)]
    assert keys == [(running[0][0], 1), (running[1][0], 1), (running[2][0], 2)]


UNRESOLVED = {"unresolved": True}
PAGE_OF_IDS = "query ($filter: PipelineFilter) { pipelines(filter: $filter) { nodes { id } } }"
RESOLUTION = """subscription { pipelines(filter: { status: { in: [FAILED] } }, throttleMs: 0) {
  ... on PipelineChanged { changed pipeline { isResolved resolvedBy { pipelineId } } }
} }"""


async def test_a_failure_leaves_the_unresolved_ones_when_a_later_run_succeeds_and_comes_back_if_that_did_not(
    engine: AsyncEngine, hub: Hub
):
    async with engine.begin() as connection:
        await build.run(connection, JobResult.ERROR, kind="before the last success")
        await build.run(connection, JobResult.SUCCESS, kind="before the last success")
        failed = await build.run(connection, JobResult.ERROR, kind="import")
        elsewhere = await build.run(connection, JobResult.ERROR, kind="import", year=2026)
    key, job_id = await _running(engine, "import")

    async with subscribed(context(engine, viewer("operator"), hub), LIST, filter=UNRESOLVED) as results:
        snapshot = await _next(results)
        await _finish(engine, key, job_id)
        left = await _next(results)
        async with engine.begin() as connection:
            await build.change(connection, job_id, result=JobResult.ERROR)
            await build.settle(connection, key)
            await build.notify(connection)
        again = [await _next(results), await _next(results)]

    assert snapshot["pipelines"]["nodes"] == [{"kindRaw": "import", "status": "FAILED"}] * 2
    assert _said(left) == ("PipelineLeft", encode("Pipeline", str(failed)))
    assert [_said(event) for event in again] == [("PipelineEntered", "import")] * 2
    assert {event["pipeline"]["id"] for event in again} == {encode("Pipeline", str(each)) for each in (failed, key)}
    assert encode("Pipeline", str(elsewhere)) not in {event["pipeline"]["id"] for event in again}


async def test_a_failed_file_of_a_unit_leaves_the_unresolved_ones_when_the_same_file_succeeds_not_when_another_does(
    engine: AsyncEngine, hub: Hub
):
    unit = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "unit_institutional_id": "A"}
    async with engine.begin() as connection:
        failed, other_failed = [
            await build.run(connection, JobResult.ERROR, **unit, file_name=name, file_digest=name)
            for name in ("a.csv", "b.pdf")
        ]
    another, another_job = await _running(engine, "csv_ingest", **unit, file_name="c.csv", file_digest="c")
    same, same_job = await _running(engine, "csv_ingest", **unit, file_name="renamed.csv", file_digest="a.csv")

    async with subscribed(context(engine, viewer("operator"), hub), LIST, filter=UNRESOLVED) as results:
        snapshot = await _next(results)
        await _finish(engine, another, another_job)
        await _finish(engine, same, same_job)
        left = await _next(results)
    remaining = (await Client(engine, "operator").query(PAGE_OF_IDS, filter=UNRESOLVED))["pipelines"]["nodes"]

    assert len(snapshot["pipelines"]["nodes"]) == 2
    assert _said(left) == ("PipelineLeft", encode("Pipeline", str(failed)))
    assert remaining == [{"id": encode("Pipeline", str(other_failed))}]


async def test_failures_leave_the_unresolved_ones_when_the_whole_module_or_the_same_bytes_elsewhere_succeed(
    engine: AsyncEngine, hub: Hub
):
    file_key = UUID("11111111-1111-1111-1111-111111111111")
    async with engine.begin() as connection:
        narrow = await build.run(connection, JobResult.ERROR, data_entry_type_id=10)
        mistaken = await build.run(connection, JobResult.ERROR, module_type_id=5, file_key=file_key)
        other = await build.run(connection, JobResult.ERROR, module_type_id=5)
    whole, whole_job = await _running(engine, "csv_ingest")
    rightly, right_job = await _running(engine, "csv_ingest", module_type_id=8, file_key=file_key)

    async with subscribed(context(engine, viewer("operator"), hub), LIST, filter=UNRESOLVED) as results:
        await _next(results)
        await _finish(engine, whole, whole_job)
        first = await _next(results)
        await _finish(engine, rightly, right_job)
        second = await _next(results)
    remaining = (await Client(engine, "operator").query(PAGE_OF_IDS, filter=UNRESOLVED))["pipelines"]["nodes"]

    assert _said(first) == ("PipelineLeft", encode("Pipeline", str(narrow)))
    assert _said(second) == ("PipelineLeft", encode("Pipeline", str(mistaken)))
    assert remaining == [{"id": encode("Pipeline", str(other))}]


async def test_a_failed_orphan_leaves_the_unresolved_ones_when_a_later_run_on_its_scope_succeeds(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        job_id = await build.job(connection, result=JobResult.ERROR)
        orphan = (await connection.execute(text("SELECT time_key FROM data_ingestion_jobs"))).scalar_one()
    key, root = await _running(engine, "csv_ingest")
    assert job_id < root

    async with subscribed(context(engine, viewer("operator"), hub), LIST, filter=UNRESOLVED) as results:
        snapshot = await _next(results)
        await _finish(engine, key, root)
        left = await _next(results)

    assert len(snapshot["pipelines"]["nodes"]) == 1
    assert _said(left) == ("PipelineLeft", encode("Pipeline", str(orphan)))


async def test_who_follows_a_failed_pipeline_is_told_what_resolves_it_and_what_had_before(engine: AsyncEngine, hub: Hub):
    async with engine.begin() as connection:
        await build.run(connection, JobResult.ERROR, kind="import")
    earlier, earlier_job = await _running(engine, "import")
    later, later_job = await _running(engine, "import")

    async with subscribed(context(engine, viewer("operator"), hub), RESOLUTION) as results:
        await _next(results)
        await _finish(engine, later, later_job)
        first = await _next(results)
        await _finish(engine, earlier, earlier_job)
        second = await _next(results)

    assert first["pipeline"] == {"isResolved": True, "resolvedBy": {"pipelineId": str(later)}}
    assert second["pipeline"] == {"isResolved": True, "resolvedBy": {"pipelineId": str(earlier)}}
    assert second["changed"] == ["Pipeline.progress", "Pipeline.isResolved", "Pipeline.resolvedBy"]


async def test_what_has_begun_by_an_event_and_goes_on_after_it_is_found_however_much_that_is(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(list_reader, "CHUNK", 2)
    begun = [await _running(engine, "old") for _ in range(5)]
    async with engine.connect() as connection:
        until = await connection.scalar(text("SELECT max(seq) FROM events"))
    await _running(engine, "later")
    for key, job_id in begun:
        await _finish(engine, key, job_id)

    reader = ListReader(engine, viewer("operator"), PipelineCriteria(), newest(10))
    async with reader.snapshot() as moment:
        found = await moment.begun(0, until)

    assert [change.key for change in found] == [key for key, _ in begun]


async def test_what_happened_since_a_token_is_found_however_much_that_is(
    engine: AsyncEngine, hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(list_reader, "CHUNK", 2)
    token = (await Client(engine, "operator").query(PAGE))["pipelines"]["feedToken"]
    for number in range(5):
        await _running(engine, f"number {number}")

    told = await _seen_since(engine, hub, token, 5)

    assert [_said(each) for each in told] == [("PipelineEntered", f"number {number}") for number in range(5)]


async def test_a_quiet_list_says_that_it_is_alive_and_goes_on(engine: AsyncEngine, hub: Hub):
    reader = context(engine, viewer("operator"), hub)
    reader.session.heartbeat_seconds = 0.05

    async with subscribed(reader, LIST) as results:
        snapshot, heartbeat = await _next(results), await _next(results)
        await _running(engine, "new")
        async with engine.begin() as connection:
            await build.notify(connection)
        while (entered := await _next(results))["__typename"] == "FeedHeartbeat":
            pass

    assert heartbeat["__typename"] == "FeedHeartbeat"
    assert opened(heartbeat["token"]) == opened(snapshot["token"])
    assert _said(entered) == ("PipelineEntered", "new")


async def test_a_list_that_keeps_few_readings_still_tells_of_each_change(
    engine: AsyncEngine, hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(list_state, "ROWS_KEPT", 1)
    first, second = await _running(engine, "first"), await _running(engine, "second")

    async with subscribed(context(engine, viewer("operator"), hub), LIST, snapshot=False) as results:
        following = asyncio.ensure_future(_next(results))
        await asyncio.sleep(0.2)
        told: list[dict[str, Any]] = []
        for _, job_id in (first, second):
            async with engine.begin() as connection:
                await build.change(connection, job_id, status_message="half of it")
                await build.notify(connection)
            told.append(await following)
            following = asyncio.ensure_future(_next(results))
        await _finish(engine, *first)
        told.append(await following)

    assert [(_said(each), "Pipeline.status" in each["changed"]) for each in told] == [
        (("PipelineChanged", "first"), True),
        (("PipelineChanged", "second"), True),
        (("PipelineChanged", "first"), True),
    ]
    assert told[-1]["pipeline"]["status"] == "SUCCESS"


BELOW = """subscription { pipelines(snapshot: false, throttleMs: 0) {
  token
  ... on PipelineChanged {
    changedJobs { state result }
    pipeline { kindRaw status progress { fraction } rootJob { result } jobs { totalCount { value } nodes { result } } }
  }
} }"""
OF_READING = 4
"""Statements that read what happened, however much of it."""


class Told(NamedTuple):
    """Results of a subscription, the token that its transport knows with each, and the number of statements that they took."""

    results: list[Any]
    tokens: list[str]
    statements: int

    @property
    def shown(self) -> list[Any]:
        return [{**result.data["pipelines"], "token": None} for result in self.results]


async def _told_of(engine: AsyncEngine, hub: Hub, count: int) -> Told:
    """Everything that is told of so many pipelines that end in one commit."""
    running = [await _running(engine, f"kind {nth}") for nth in range(count)]
    reader = context(engine, viewer("operator"), hub)
    results, tokens = list[Any](), list[str]()
    async with asyncio.timeout(120), subscribed(reader, BELOW) as told:
        following = asyncio.ensure_future(anext(told))
        await asyncio.sleep(0.2)
        with recorded(engine) as executed:
            async with engine.begin() as connection:
                for key, job_id in running:
                    await build.finish(connection, job_id, JobResult.SUCCESS)
                    await build.settle(connection, key)
                await build.notify(connection)
                before = len(executed)
            while len(results) < count:
                results.append(await (anext(told) if results else following))
                tokens.append(reader.session.told.token)
    return Told(results, tokens, len(executed) - before)


async def test_what_is_shown_of_events_that_wait_together_is_read_at_once_and_is_what_each_shows_alone(
    engine: AsyncEngine, hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    one = (await _told_of(engine, hub, 1)).statements - OF_READING
    together = await _told_of(engine, hub, 50)
    with monkeypatch.context() as patch:
        patch.setattr(events, "TOGETHER_MAX", 1)
        alone = await _told_of(engine, hub, 50)

    assert (one, together.statements - OF_READING, alone.statements - OF_READING) == (5, 2 * 5, 50 * 5)
    assert [result.errors for result in together.results] == [None] * 50
    assert [each["pipeline"]["kindRaw"] for each in together.shown] == [f"kind {nth}" for nth in range(50)]
    assert together.shown == alone.shown
    assert [result.data["pipelines"]["token"] for result in together.results] == together.tokens
    assert len(set(together.tokens)) == 50


LOCKED = """subscription { pipelines(snapshot: false, throttleMs: 0) {
  ... on PipelineEntered { pipeline { kindRaw rootJob { lockedAt } } }
} }"""


async def test_each_of_the_events_that_wait_together_reports_what_was_not_shown_of_it(engine: AsyncEngine, hub: Hub):
    of_unit = {"unit_institutional_id": "A", "entity_type": EntityType.MODULE_UNIT_SPECIFIC}
    async with asyncio.timeout(60), subscribed(context(engine, viewer("principal", "A"), hub), LOCKED) as told:
        following = asyncio.ensure_future(anext(told))
        await asyncio.sleep(0.2)
        async with engine.begin() as connection:
            for nth in range(3):
                key = await build.pipeline(connection, kind=f"kind {nth}", **of_unit)
                await build.job(connection, key, state=JobState.RUNNING)
            await build.notify(connection)
        results = [await following, await anext(told), await anext(told)]

    assert [result.data["pipelines"]["pipeline"]["kindRaw"] for result in results] == ["kind 0", "kind 1", "kind 2"]
    told_of_each = [[(each["coordinate"], each["count"]) for each in result.extensions["redactions"]] for result in results]
    assert told_of_each == [[("Job.lockedAt", 1)]] * 3
