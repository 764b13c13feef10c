"""Settings from the environment."""

from datetime import timedelta
from pathlib import Path

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


def test_a_misspelt_name_is_found_in_the_environment_and_in_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("GQL_HOSTT=127.0.0.1\nGQL_PORT=8001\nOTHER=1\n")
    monkeypatch.setenv("GQL_LEASES", "10")
    monkeypatch.setenv("GQL_TOKEN", "of the examples")
    monkeypatch.setenv("gql_port", "8002")

    assert list(Settings.unknown_names()) == [("GQL_HOSTT", "GQL_HOST"), ("GQL_LEASES", "GQL_LEASE")]
