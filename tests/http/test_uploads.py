"""POST /uploads, as curl would."""

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.routing import Route

from gql_server import handlers
from gql_server.commands.years import create_year
from gql_server.db import create_engine
from gql_server.errors import BadInput
from gql_server.http.authentication import TokenAuthority
from gql_server.http.masking import INTERNAL, UNAVAILABLE
from gql_server.http.uploads import Uploads, ingestion_from
from gql_server.policy import Role, Viewer, permissions_of
from gql_server.worker import registry

assert handlers.__all__
TOKENS = TokenAuthority("k" * 32, "issuer", "audience")
LIMIT = 3 * 1024 * 1024
PROCESS = {"module": "process_emissions", "year": "2025"}
CSV = b"unit_institutional_id,category,subcategory,quantity,note\n10208,CO2,,100,\n"


@pytest.fixture
async def client(engine: AsyncEngine) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the endpoint, as an operator of a provisioned year 2025."""
    operator = Viewer("operator", "ACCRED", permissions_of(Role.OPERATOR, None))
    async with engine.begin() as connection:
        await create_year(connection, registry, operator, 2025)
        await connection.execute(text("UPDATE year_configuration SET configuration_completed = now()"))
    async with connected(engine) as client:
        yield client


def connected(engine: AsyncEngine) -> httpx.AsyncClient:
    """A client of the endpoint on that database, as an operator."""
    uploads = Uploads(engine, registry, TOKENS.authenticate, LIMIT)
    app = Starlette(routes=[Route("/uploads", uploads.post, methods=["POST"])])
    headers = {"Authorization": f"Bearer {TOKENS.mint('operator', provider='ACCRED')}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers)


async def count(engine: AsyncEngine, table: str) -> int:
    async with engine.connect() as connection:
        return (await connection.scalar(text(f"SELECT count(*) FROM {table}"))) or 0


async def test_an_upload_is_accepted_with_the_pipeline_that_ingests_it(client: httpx.AsyncClient, engine: AsyncEngine) -> None:
    response = await client.post("/uploads", params={**PROCESS, "filename": "été.csv"}, content=CSV)

    assert response.status_code == 202
    body = response.json()
    assert (body["sizeBytes"], body["sha256"]) == (len(CSV), hashlib.sha256(CSV).hexdigest())
    async with engine.connect() as connection:
        job = (await connection.execute(text("SELECT * FROM data_ingestion_jobs WHERE id = :id"), {"id": body["jobId"]})).one()
        data = (await connection.scalars(text("SELECT data FROM upload_chunks ORDER BY seq"))).all()
    assert (str(job.pipeline_id), job.job_type, job.module_type_id) == (body["pipelineId"], "csv_ingest", 8)
    assert (str(job.upload_id), job.meta["filename"]) == (body["uploadId"], "été.csv")
    assert b"".join(data) == CSV


async def test_the_share_of_rows_that_may_be_rejected_is_told_to_the_job(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    response = await client.post("/uploads", params={**PROCESS, "maxRejectedShare": "0.25"}, content=CSV)

    async with engine.connect() as connection:
        config = await connection.scalar(
            text("SELECT config FROM data_ingestion_jobs WHERE id = :id"), {"id": response.json()["jobId"]}
        )
    assert config == {"max_rejected_share": 0.25}


async def test_a_file_is_only_kept_when_it_shall_not_start(client: httpx.AsyncClient, engine: AsyncEngine) -> None:
    before = await count(engine, "pipelines")

    response = await client.post("/uploads", params={"start": "false", "filename": "a.csv"}, content=CSV)

    assert response.status_code == 201
    async with engine.connect() as connection:
        upload = (await connection.execute(text("SELECT id, filename, created_by ->> 'user_id' AS by FROM uploads"))).one()
    assert response.json() == {
        "uploadId": str(upload.id),
        "sizeBytes": len(CSV),
        "sha256": hashlib.sha256(CSV).hexdigest(),
    }
    assert (upload.filename, upload.by) == ("a.csv", "operator")
    assert await count(engine, "pipelines") == before


async def test_a_principal_may_keep_a_file_and_who_may_ingest_nothing_may_not(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    principal, standard = (
        {"Authorization": f"Bearer {TOKENS.mint(role, provider='ACCRED', unit='10208')}"} for role in ("principal", "standard")
    )

    kept = await client.post("/uploads", params={"start": "false"}, content=CSV, headers=principal)
    refused = await client.post("/uploads", params={"start": "false"}, content=CSV, headers=standard)

    assert (kept.status_code, refused.status_code, refused.json()["error"]["code"]) == (201, 403, "FORBIDDEN")
    assert await count(engine, "uploads") == 1


async def test_a_large_file_is_kept_in_chunks_of_one_mebibyte(client: httpx.AsyncClient, engine: AsyncEngine) -> None:
    content = CSV * (2_500_000 // len(CSV))

    response = await client.post("/uploads", params=PROCESS, content=content)

    assert response.status_code == 202
    async with engine.connect() as connection:
        chunks = (await connection.execute(text("SELECT seq, data FROM upload_chunks ORDER BY seq"))).all()
    assert [(chunk.seq, len(chunk.data)) for chunk in chunks[:2]] == [(0, 1024 * 1024), (1, 1024 * 1024)]
    assert b"".join(chunk.data for chunk in chunks) == content


async def test_a_file_over_the_limit_is_refused_also_when_it_does_not_say_so(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 1024 * 1024

    declared = await client.post("/uploads", params=PROCESS, content=b"x" * (LIMIT + 1))
    streamed = await client.post("/uploads", params=PROCESS, content=body())

    for response in (declared, streamed):
        assert response.status_code == 413
        assert response.json() == {
            "error": {"message": "the file is larger than 3 MiB", "code": "BAD_USER_INPUT", "limitBytes": LIMIT}
        }
    assert await count(engine, "uploads") == 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "module must be one of: headcount, equipment_electric_consumption, purchase, process_emissions"),
        ({"module": "process_emissions"}, "year must be a number of four digits"),
        ({"module": "process_emissions", "year": "２０２５"}, "year must be a number of four digits"),
        (
            {**PROCESS, "Unit": "10208"},
            "unknown parameter 'Unit'; there are: module, year, target, entryType,",
        ),
        ({**PROCESS, "start": "no"}, "start must be true or false"),
        ({"start": "false", "unit": "10208"}, "with start=false, unit is said when the ingestion is started"),
        ({**PROCESS, "year": ["2025", "2024"]}, "year is given more than once"),
        ({**PROCESS, "filename": "a\0.csv"}, "filename must not hold the character NUL"),
        ({**PROCESS, "unit": "\0"}, "unit must not hold the character NUL"),
        ({**PROCESS, "target": "gold"}, "target must be data, factors or reference"),
        ({**PROCESS, "entryType": "member"}, "entryType must be one of: process_emissions"),
        ({"module": "buildings", "year": "2025"}, "module buildings takes no files of data entries"),
        ({**PROCESS, "target": "reference"}, "module process_emissions takes no files of reference data"),
        ({"module": "headcount", "year": "2025"}, "say which data entry type it is: member, student"),
        ({**PROCESS, "unit": "99999"}, "unknown unit 99999"),
        ({**PROCESS, "maxRejectedShare": "50%"}, "maxRejectedShare must be a number between 0 and 1, such as 0.5"),
        ({**PROCESS, "maxRejectedShare": "1.5"}, "maxRejectedShare must be a number between 0 and 1, such as 0.5"),
        (
            {"start": "false", "maxRejectedShare": "1"},
            "with start=false, maxRejectedShare is said when the ingestion is started",
        ),
    ],
)
async def test_bad_parameters_are_named(
    client: httpx.AsyncClient, engine: AsyncEngine, parameters: dict[str, Any], message: str
) -> None:
    response = await client.post("/uploads", params=parameters, content=CSV)

    assert response.status_code == 400
    assert message in response.json()["error"]["message"]
    assert await count(engine, "uploads") == 0


async def test_an_empty_body_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/uploads", params=PROCESS)

    assert (response.status_code, response.json()["error"]["message"]) == (400, "the file is empty")


async def test_a_year_without_provisioning_is_a_conflict_and_keeps_nothing(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    response = await client.post("/uploads", params={**PROCESS, "year": "2024"}, content=CSV)

    assert response.status_code == 409
    assert response.json()["error"] == {
        "message": "year 2024 has not been created",
        "code": "CONFLICT",
        "reason": "YEAR_NOT_CREATED",
        "year": 2024,
    }
    assert (await count(engine, "uploads"), await count(engine, "upload_chunks")) == (0, 0)


async def test_who_has_no_token_or_no_permission_uploads_nothing(client: httpx.AsyncClient, engine: AsyncEngine) -> None:
    standard = {"Authorization": f"Bearer {TOKENS.mint('standard', provider='ACCRED')}"}

    anonymous = await client.post("/uploads", params=PROCESS, content=CSV, headers={"Authorization": ""})
    forbidden = await client.post("/uploads", params=PROCESS, content=CSV, headers=standard)

    assert (anonymous.status_code, anonymous.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
    assert anonymous.headers["www-authenticate"] == "Bearer"
    assert (forbidden.status_code, forbidden.json()["error"]["code"]) == (403, "FORBIDDEN")
    assert await count(engine, "uploads") == 0


async def test_a_form_is_refused_with_the_right_way_to_send_a_file(client: httpx.AsyncClient, engine: AsyncEngine) -> None:
    response = await client.post("/uploads", params=PROCESS, files={"file": CSV})

    assert response.status_code == 415
    assert response.json()["error"]["message"] == "send the file itself as the body: curl --data-binary @file.csv, not -F"
    assert await count(engine, "uploads") == 0


async def test_while_the_database_is_away_a_file_is_refused_for_now(tmp_path: Path) -> None:
    engine = create_engine(f"postgresql:///nothing?host={tmp_path}", application="tests", pool_size=1, max_overflow=0)

    async with connected(engine) as client:
        response = await client.post("/uploads", params=PROCESS, content=CSV)

    assert response.status_code == 503
    assert response.json() == {"error": {"message": UNAVAILABLE, "code": "UNAVAILABLE"}}


async def test_what_nobody_expected_is_answered_with_a_request_id_and_nothing_else(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE upload_chunks"))

    response = await client.post("/uploads", params=PROCESS, content=CSV)

    assert response.status_code == 500
    error = response.json()["error"]
    assert re.fullmatch("[0-9a-f]{32}", error.pop("requestId"))
    assert error == {"message": INTERNAL, "code": "INTERNAL"}
    assert await count(engine, "uploads") == 0


@pytest.mark.parametrize(("named", "found"), [
    ({"module": "process_emissions"}, (8, None)),
    ({"module": "8"}, (8, None)),
    ({"module": "headcount", "entryType": "member"}, (1, 1)),
    ({"module": "1", "entryType": "2"}, (1, 2)),
])  # fmt: skip
def test_a_module_and_an_entry_type_go_by_key_or_by_number(named: dict[str, str], found: tuple[int, int | None]) -> None:
    ingestion = ingestion_from(QueryParams({**named, "year": "2025"}))

    assert (ingestion.module_type_id, ingestion.data_entry_type_id) == found


@pytest.mark.parametrize("named", [
    {"module": "99"}, {"module": "-1"}, {"module": "٨"}, {"module": "8" * 5000}, {"module": "headcount", "entryType": "50"},
])  # fmt: skip
def test_a_number_that_names_nothing_is_refused(named: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="must be one of"):
        ingestion_from(QueryParams({**named, "year": "2025"}))
