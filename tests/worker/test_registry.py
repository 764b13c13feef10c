"""Registration of job types."""

from typing import Any

import pytest

from gql_server.worker import Outcome, Registry


async def handler(job: Any, connection: Any, run: Any) -> Outcome:
    return Outcome()


def test_a_name_is_registered_once() -> None:
    registry = Registry()
    registry.job_type("tea")(handler)

    with pytest.raises(ValueError, match="'tea' is already registered"):
        registry.job_type("tea")(handler)


def test_a_handler_must_be_async_and_take_three_arguments() -> None:
    async def two(job: Any, connection: Any) -> Outcome:
        return Outcome()

    async def variadic(*arguments: Any) -> Outcome:
        return Outcome()

    registry = Registry()
    with pytest.raises(TypeError, match="async"):
        registry.job_type("sync")(lambda job, connection, run: Outcome())  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match="exactly three arguments"):
        registry.job_type("two")(two)  # type: ignore[arg-type]
    registry.job_type("variadic")(variadic)
    assert registry.names == ["variadic"]


def test_an_unknown_name_raises() -> None:
    with pytest.raises(LookupError, match="no handler is registered for job type 'nap'"):
        Registry()["nap"]
