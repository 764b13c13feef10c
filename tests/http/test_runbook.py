"""The operations of the default tabs, answered by a real server on which the demo's day was played once."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from gql_server.graph.nodes import encode
from gql_server.processes.demonstration import demo_tabs
from gql_server.processes.operating_day import DAY
from tests.databases import clone_of, execute, on_database
from tests.graphql import object_type

DEMO = [sys.executable, "-c", "from gql_server.cli import main; main()", "demo", "--port"]
ALL_BAD = Path(__file__).parents[2] / "examples" / "failures" / "process_emissions_all_bad.csv"
TABS = {re.findall(r"(?:query|mutation|subscription) (\w+)", tab.query)[0]: tab for tab in demo_tabs()}
LIVE = ["FollowPipeline", "LiveList", "LiveStrip"]

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Desk:
    """An operator at the page: what each tab answers, as it opens."""

    origin: str
    headers: dict[str, str]

    def ask(self, name: str, **variables: Any) -> dict[str, Any]:
        answer = httpx.post(f"{self.origin}/graphql", json=self._request(name, variables), headers=self.headers).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def follow(self, name: str, **variables: Any) -> Iterator[Any]:
        """The values of the one root field, as they are pushed."""
        headers = {**self.headers, "Accept": "text/event-stream"}
        with httpx.stream("POST", f"{self.origin}/graphql", json=self._request(name, variables), headers=headers) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    [value] = json.loads(line.removeprefix("data: "))["data"].values()
                    yield value

    def upload(self, file: Path) -> str:
        """Global id of the pipeline that reads the file."""
        parameters = {"module": "process_emissions", "year": "2025", "filename": file.name}
        answer = httpx.post(f"{self.origin}/uploads", params=parameters, content=file.read_bytes(), headers=self.headers)
        return encode("Pipeline", UUID(answer.json()["pipelineId"]))

    def _request(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        return {"query": TABS[name].query, "variables": {**TABS[name].variables, **variables}}


@pytest.fixture(scope="module")
def desk(postgres: str, template: str) -> Iterator[Desk]:
    """A server and a worker in a process of their own, when the day is over."""
    name = f"demo_{uuid4().hex}"
    asyncio.run(execute(postgres, clone_of(template, name)))
    environment = {**os.environ, "GQL_DATABASE_URL": on_database(postgres, name), "GQL_JWT_SECRET": "k" * 32}
    process = subprocess.Popen([*DEMO, str(free_port())], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        said = ""
        while "ready" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        origin = re.findall(r"(http://\S+)/graphql\s", said)[0]
        yield Desk(origin, {"Authorization": f"Bearer {re.findall(r'^eyJ.*$', said, re.MULTILINE)[0]}"})
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        asyncio.run(execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)'))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def answers(desk: Desk) -> dict[str, Any]:
    """Answers of the tabs before anything else happens."""
    asked = {name: desk.ask(name) for name in TABS if name not in LIVE}
    return asked | {"LiveStrip": next(desk.follow("LiveStrip")), "FollowPipeline": list(desk.follow("FollowPipeline"))}


def counts(facets: list[Any]) -> dict[str, dict[str, int]]:
    return {facet["key"]: {one["value"]: one["count"]["value"] for one in facet["values"]} for facet in facets}


def test_the_console_shows_the_day_and_counts_it(answers: dict[str, Any]):
    page = answers["Console"]["pipelines"]

    assert page["totalCount"] == {"value": len(DAY) + 1, "precision": "EXACT"}
    assert counts(page["facets"]) == {
        "STATUS": {"SUCCESS": 13, "FAILED": 3},
        "KIND": {
            "AGGREGATION": 12,
            "EMISSION_RECALC": 12,
            "CSV_INGEST": 10,
            "FACTOR_INGEST": 4,
            "REFERENCE_INGEST": 1,
            "UNIT_SYNC": 1,
        },
        "FAILURE_CLASS": {"ALL_ROWS_REJECTED": 1, "MISSING_FACTOR": 1, "SOME_ROWS_REJECTED": 1, "VALIDATION": 1},
    }
    newest, oldest = page["nodes"][0], page["nodes"][-1]
    assert (newest["status"], newest["message"]) == (
        "FAILED",
        "the file is not UTF-8 text, though parts of it are, and may be damaged: save it as “CSV UTF-8”",
    )
    assert (oldest["kind"], oldest["status"], oldest["scope"]["level"]) == ("UNIT_SYNC", "SUCCESS", "GLOBAL_PER_YEAR")
    assert {node["triggeredBy"]["displayName"] for node in page["nodes"]} == {"Operator"}
    assert newest["viewerCan"]["abort"] == {"allowed": False, "message": "Nothing of it is left to stop."}


def test_a_value_of_the_alert_strip_drills_down_to_what_it_counts(desk: Desk, answers: dict[str, Any]):
    [failed] = [value for value in answers["Console"]["pipelines"]["facets"][0]["values"] if value["value"] == "FAILED"]

    page = desk.ask("Console", filter={**failed["filter"], "years": [2025], "createdAt": {"to": end_of_day(answers)}})

    assert [node["status"] for node in page["pipelines"]["nodes"]] == ["FAILED"] * 3


def told(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Event, its pipeline, and the status since."""
    return [(event["__typename"], event["pipeline"]["id"], event["pipeline"]["status"]) for event in events]


def end_of_day(answers: dict[str, Any]) -> str:
    """State of the day when the operator had asked everything."""
    return answers["Poll"]["changes"]["events"][0]["at"]


def test_what_broke_is_told_by_cause_with_when_and_where(answers: dict[str, Any]):
    groups = answers["WhatBroke"]["failureGroups"]

    assert [(group["class"], group["title"].split(": ")[-1], group["isNew"]) for group in groups["nodes"]] == [
        ("VALIDATION", "save it as “CSV UTF-8”", False),
        ("ALL_ROWS_REJECTED", "quantity must be a number, not <value>", False),
        ("SOME_ROWS_REJECTED", "unknown unit <n>", False),
        ("MISSING_FACTOR", "upload the factors first", False),
    ]
    for group in groups["nodes"]:
        assert group["affectedPipelines"] == {"value": 1, "precision": "EXACT"}
        assert [bucket["count"] for bucket in group["histogram"]] == [0] * 23 + [1]
        assert len(group["pipelines"]["nodes"]) == 1


def test_what_failed_is_unresolved_until_the_same_work_succeeds(answers: dict[str, Any]):
    latin1, all_bad = answers["Unresolved"]["pipelines"]["nodes"]

    assert (latin1["scope"]["module"]["key"], latin1["failures"][0]["class"]) == ("purchase", "VALIDATION")
    assert (all_bad["scope"]["module"]["key"], all_bad["failures"][0]["class"]) == ("process_emissions", "ALL_ROWS_REJECTED")
    assert all_bad["lastGood"]["rowsDelta"] == -72
    assert all_bad["lastGood"]["baseline"]["finishedAt"] < all_bad["finishedAt"]
    assert all_bad["viewerCan"]["retry"] == {"allowed": True, "message": None}


def test_why_it_failed_is_told_with_what_to_do_and_what_fixed_it(answers: dict[str, Any]):
    pipeline = answers["WhyStuck"]["pipeline"]

    [diagnosis] = pipeline["diagnosis"]
    assert (diagnosis["severity"], diagnosis["job"]["jobId"]) == ("NEUTRAL", 2)
    assert diagnosis["message"].endswith("upload the factors first")
    assert pipeline["isResolved"] is True
    assert pipeline["resolvedBy"]["finishedAt"] > diagnosis["since"]
    assert [entry["kind"] for entry in pipeline["timeline"]["nodes"]] == [
        "CREATED",
        "CREATED",
        "CLAIMED",
        "STATUS_CHANGED",
        "PROGRESS",
        "FINISHED",
        "STATUS_CHANGED",
    ]
    assert pipeline["graph"]["mermaid"].startswith("flowchart LR\n")


def test_rejected_rows_are_told_one_by_one(answers: dict[str, Any]):
    job = answers["RowErrors"]["job"]

    assert (job["rowErrorCount"], job["rowErrors"]["totalCount"]) == (6, {"value": 6, "precision": "EXACT"})
    assert [(row["row"], row["column"], row["value"]) for row in job["rowErrors"]["nodes"]] == [
        (10, "unit_institutional_id", "99999"),
        (11, "fte", "1.4"),
        (12, "sius_code", "55"),
        (23, "fte", "plein temps"),
        (24, "user_institutional_id", "174101"),
        (25, "unit_institutional_id", None),
    ]
    assert sum(group["count"] for group in job["rowErrors"]["groups"]) == 6
    assert "row_errors_count" in [left_out["key"] for left_out in job["meta"]["omitted"]]


def test_a_pipeline_that_has_ended_is_shown_once(answers: dict[str, Any]):
    [message] = answers["FollowPipeline"]

    assert message["pipeline"]["status"] == "FAILED"


def test_the_live_strip_begins_with_the_counts_of_the_console(answers: dict[str, Any]):
    console = counts(answers["Console"]["pipelines"]["facets"])

    assert counts(answers["LiveStrip"]) == {key: console[key] for key in ("STATUS", "FAILURE_CLASS")}


def test_polling_begins_with_where_to_go_on(answers: dict[str, Any]):
    changes = answers["Poll"]["changes"]

    assert [event["__typename"] for event in changes["events"]] == ["FeedReset", "FeedSnapshot"]
    assert changes["hasMore"] is False


def test_the_board_of_the_year_says_what_is_up_to_date_and_what_is_missing(answers: dict[str, Any]):
    year = answers["YearBoard"]["yearConfiguration"]

    assert (year["isProvisioned"], year["isStarted"], year["readiness"]) == (True, False, {"ready": True, "blockers": []})
    fresh = {module["module"]["key"]: module["freshness"] for module in year["modules"]}
    used = ("headcount", "process_emissions", "equipment_electric_consumption", "purchase")
    others = ("professional_travel", "buildings", "research_facilities", "external_cloud_and_ai")
    assert fresh == {**dict.fromkeys(used, "FRESH"), **dict.fromkeys(others)}
    assert {module["module"]["key"] for module in year["modules"] if module["readiness"]["isEnabled"]} == set(used)
    kilograms = {module["module"]["key"]: module["totals"] and module["totals"]["kgCo2eq"] for module in year["modules"]}
    assert {key for key, total in kilograms.items() if total} == set(used)
    assert {module["needsRecalculation"] for module in year["modules"]} == {False}


def test_the_fleet_is_one_worker_in_good_health(answers: dict[str, Any]):
    health = answers["Fleet"]["health"]

    assert (health["tone"], health["liveWorkers"], health["diagnosis"]) == ("SUCCESS", 1, [])
    assert (health["oldestQueuedSeconds"], health["stuckJobs"]["nodes"]) == (None, [])
    assert health["staleScopes"] == []
    [worker] = answers["Fleet"]["workers"]
    assert worker["claimedJobs"]["nodes"] == []


def test_after_the_day_nothing_is_left_to_abort(answers: dict[str, Any]):
    preview = answers["BulkAbortPreview"]["abortPipelines"]

    assert (preview["__typename"], preview["count"], preview["sample"]) == ("BulkPreview", 0, [])


def test_a_price_is_told_and_nothing_else(answers: dict[str, Any]):
    assert answers["PriceFirst"].keys() == {"cost"}
    assert answers["PriceFirst"]["cost"]["estimated"] == 5201


def test_the_operator_learns_what_they_may_do(answers: dict[str, Any]):
    assert answers["WhoAmI"]["viewer"]["views"] == []
    assert "backoffice.pipeline_operations:edit" in answers["WhoAmI"]["viewer"]["permissions"]


def test_a_client_that_comes_back_is_told_what_it_missed_and_then_what_happens(desk: Desk, answers: dict[str, Any]):
    missed = desk.upload(ALL_BAD)
    token = answers["Console"]["pipelines"]["feedToken"]
    before, polled = None, desk.ask("Poll", after=token)["changes"]["events"]
    while before != told(polled) or polled[-1]["pipeline"]["status"] != "FAILED":
        time.sleep(0.3)
        before, polled = told(polled), desk.ask("Poll", after=token)["changes"]["events"]

    messages = desk.follow("LiveList", after=token)
    resumed = [next(messages) for _ in polled]
    happens = desk.upload(ALL_BAD)
    live = [next(messages)]
    while "pipeline" not in live[-1] or (live[-1]["pipeline"]["id"], live[-1]["pipeline"]["status"]) != (happens, "FAILED"):
        live.append(next(messages))

    assert told(polled) == [("PipelineEntered", missed, "FAILED")]
    assert told(resumed) == told(polled)
    [entered] = [message for message in live if message["__typename"] == "PipelineEntered"]
    assert (entered["pipeline"]["id"], entered["position"]) == (happens, "HEAD")
    fields = {f"Pipeline.{name}" for name in object_type("Pipeline").fields}
    assert {name for message in (*resumed, *live) for name in message.get("changed", ())} <= fields
