"""What the environment may say."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from gql_server.settings import Settings


@pytest.mark.parametrize(("given", "meant"), [("10", 10), ("2.5", 2.5), ("PT1M", 60)])
def test_a_duration_is_seconds_or_iso_8601(monkeypatch: pytest.MonkeyPatch, given: str, meant: float) -> None:
    monkeypatch.setenv("GQL_LEASE", given)

    assert Settings().lease == timedelta(seconds=meant)


def test_a_duration_of_neither_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GQL_SWEEP_INTERVAL", "soon")

    with pytest.raises(ValidationError, match="sweep_interval"):
        Settings()
