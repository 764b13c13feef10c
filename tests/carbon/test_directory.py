"""The bundled directory is a tree of 2,231 units."""

from pathlib import Path

import pytest

import gql_server.carbon
from gql_server.carbon.directory import Directory, read_directory


@pytest.fixture(scope="module")
def directory() -> Directory:
    return read_directory()


def test_there_are_2231_units_on_four_levels(directory: Directory):
    levels = [unit.level for unit in directory.units]

    assert len(levels) == 2231
    assert {level: levels.count(level) for level in range(1, 5)} == {1: 1, 2: 13, 3: 160, 4: 2057}


def test_codes_ids_and_addresses_are_unique(directory: Directory):
    assert len({unit.institutional_code for unit in directory.units}) == 2231
    assert len({unit.institutional_id for unit in directory.units}) == 2231
    assert len({user.email for user in directory.users}) == len({user.institutional_id for user in directory.users})
    assert len({user.email for user in directory.users}) == len(directory.users)


def test_every_unit_follows_its_parent_and_its_path_ends_with_itself(directory: Directory):
    paths: dict[str | None, str] = {None: ""}
    for unit in directory.units:
        assert unit.path == f"{paths[unit.parent_code]} {unit.institutional_code}".strip()
        assert unit.level == len(unit.path.split())
        paths[unit.institutional_code] = unit.path


def test_principals_and_users_are_the_same_people(directory: Directory):
    principals = {unit.principal_user_institutional_id for unit in directory.units} - {None}

    assert principals == {user.institutional_id for user in directory.users}


def test_names_are_french_and_addresses_plain(directory: Directory):
    unit = next(unit for unit in directory.units if unit.institutional_code == "ENAC")
    user = next(user for user in directory.users if user.display_name == "Adèle Aebischer")

    assert unit.name == "Faculté de l’environnement naturel, architectural et construit"
    assert user.email == "adele.aebischer@example.org"
    assert all(user.email.isascii() and " " not in user.email for user in directory.users)


def test_it_reads_as_23_pages_each_with_its_own_principals(directory: Directory):
    pages = list(directory.pages())

    assert [len(page.units) for page in pages] == [100] * 22 + [31]
    assert tuple(unit for page in pages for unit in page.units) == directory.units
    for page in pages:
        principals = {unit.principal_user_institutional_id for unit in page.units} - {None}
        assert {user.institutional_id for user in page.users} == principals


def test_the_bundled_files_stay_small():
    data = Path(gql_server.carbon.__file__).parent / "data"

    assert sum(path.stat().st_size for path in data.iterdir()) < 300_000
