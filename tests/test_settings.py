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


def test_names_come_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GQL_ALLOWED_ORIGINS", "https://app.example.org/, http://localhost:5173")
    monkeypatch.setenv("GQL_ALLOWED_HOSTS", "api.example.org")
    monkeypatch.setenv("GQL_BASE_PATH", "/gql/")

    settings = Settings()

    assert settings.allowed_origins == ("https://app.example.org", "http://localhost:5173")
    assert (settings.allowed_hosts, settings.base_path) == (("api.example.org",), "/gql")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GQL_ALLOWED_ORIGINS", "app.example.org"),
        ("GQL_ALLOWED_ORIGINS", "https://app.example.org/page"),
        ("GQL_ALLOWED_ORIGINS", "https://*.example.org"),
        ("GQL_BASE_PATH", "gql"),
        ("GQL_BASE_PATH", "/gql?x"),
    ],
)
def test_what_is_no_origin_or_path_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError):
        Settings()


def test_a_misspelt_name_is_found_in_the_environment_and_in_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("GQL_HOSTT=127.0.0.1\nGQL_PORT=8001\nOTHER=1\n")
    monkeypatch.setenv("GQL_LEASES", "10")
    monkeypatch.setenv("GQL_TOKEN", "of the examples")
    monkeypatch.setenv("gql_port", "8002")

    assert list(Settings.unknown_names()) == [("GQL_HOSTT", "GQL_HOST"), ("GQL_LEASES", "GQL_LEASE")]


def test_a_log_level_that_is_none_is_refused_and_its_case_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GQL_LOG_LEVEL", "warning")
    assert Settings().log_level == "WARNING"

    monkeypatch.setenv("GQL_LOG_LEVEL", "LOUD")
    with pytest.raises(ValidationError, match="log_level"):
        Settings()


def test_every_knob_says_its_value_its_source_and_what_it_does_and_hides_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("GQL_PORT=8001\nGQL_LEASE=PT1M\n")
    monkeypatch.setenv("GQL_LEASE", "20")
    monkeypatch.setenv("GQL_JWT_SECRET", "four eight fifteen sixteen twenty-three")
    monkeypatch.setenv("GQL_DATABASE_URL", "postgresql://somebody:hidden@db/ledger")

    knobs = {knob.name: knob for knob in Settings().knobs()}

    assert len(knobs) == len(Settings.model_fields)
    assert all(knob.description for knob in knobs.values())
    said = {name: knobs[name][1:3] for name in ("GQL_PORT", "GQL_LEASE", "GQL_JWT_SECRET", "GQL_DATABASE_URL", "GQL_HOST")}
    assert said == {
        "GQL_PORT": ("8001", ".env"),
        "GQL_LEASE": ("20", "environment"),
        "GQL_JWT_SECRET": ("**********", "environment"),
        "GQL_DATABASE_URL": ("**********", "environment"),
        "GQL_HOST": ("127.0.0.1", "default"),
    }


@pytest.mark.parametrize(
    ("secret", "is_known"),
    [
        ("for-development-only-change-it-elsewhere", True),
        ("x" * 40, True),
        ("q8Zt3vKp0sLr5nWy7uBd2xEh4jGc6mAf", False),
        (None, False),
    ],
)
def test_a_secret_that_others_know_is_told_from_one_that_they_do_not(
    monkeypatch: pytest.MonkeyPatch, secret: str | None, is_known: bool
) -> None:
    if secret is not None:
        monkeypatch.setenv("GQL_JWT_SECRET", secret)

    assert Settings().has_development_secret is is_known
