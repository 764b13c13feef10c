"""Blockers between a year and its opening."""

from uuid import UUID

import pytest

from gql_server.carbon.catalog import MODULES
from gql_server.carbon.year_configuration import default_config, merge
from gql_server.db.models import TargetType
from gql_server.reads.years.blockers import Blocker, BlockerCode, UnitSync, year_readiness
from gql_server.reads.years.readiness import readiness
from tests.reads.years.test_readiness import Upload, every_module_enabled, factors, reference

SYNC = UUID("0192d3a0-0000-7000-8000-000000000001")
UPLOADS = [*(factors(module, module) for module in (1, 4, 5, 8))]


def test_a_provisioned_new_year_is_ready_once_the_factors_of_the_modules_that_can_be_read_are_there():
    found = year_readiness(readiness(default_config(), UPLOADS), UnitSync(SYNC, is_live=False), is_provisioned=True)

    assert (found.ready, found.blockers) == (True, ())
    for missing in UPLOADS:
        uploads = [each for each in UPLOADS if each is not missing]
        assert not year_readiness(readiness(default_config(), uploads), None, is_provisioned=True).ready


def test_purchases_lack_the_exchange_rates_of_a_year_for_which_nobody_said_them_while_they_are_enabled():
    rateless = readiness(default_config(), UPLOADS, has_exchange_rates=False)
    disabled = merge(default_config(), {"modules": {"5": {"enabled": False}}})

    found = year_readiness(rateless, None, is_provisioned=True)

    message = "purchase lacks the exchange rates of the year."
    assert found.blockers == (Blocker(BlockerCode.MISSING_EXCHANGE_RATE, message, 5),)
    assert [part.module_type_id for part in rateless if part.incomplete] == [5]
    assert year_readiness(readiness(disabled, UPLOADS, has_exchange_rates=False), None, is_provisioned=True).ready


def test_a_year_with_every_module_enabled_is_ready_once_all_uploads_are_there():
    uploads = [
        *(factors(module, module) for module in MODULES),
        *(reference(9, 2, det) for det in (20, 21)),
        reference(9, 3, 30),
    ]

    assert year_readiness(readiness(every_module_enabled(), uploads), None, is_provisioned=True).ready


@pytest.mark.parametrize(("sync", "is_provisioned", "codes"), [
    (None, False, [(BlockerCode.NOT_PROVISIONED, None, True)]),
    (UnitSync(SYNC, is_live=False), False, [(BlockerCode.NOT_PROVISIONED, SYNC, True)]),
    (UnitSync(SYNC, is_live=True), False, [(BlockerCode.SYNC_IN_FLIGHT, SYNC, True)]),
    (UnitSync(SYNC, is_live=True), True, [(BlockerCode.SYNC_IN_FLIGHT, SYNC, False)]),
    (UnitSync(SYNC, is_live=False), True, []),
    (None, True, []),
])  # fmt: skip
def test_the_unit_sync_must_have_succeeded_and_be_over(
    sync: UnitSync | None, is_provisioned: bool, codes: list[tuple[BlockerCode, UUID | None, bool]]
):
    found = year_readiness([], sync, is_provisioned=is_provisioned)

    assert [(blocker.code, blocker.pipeline_key, blocker.is_required) for blocker in found.blockers] == codes
    assert found.ready is not bool(codes)


def test_y8_each_missing_upload_is_a_blocker_unless_it_is_disabled():
    off = {"enabled": False}
    modules = {"1": off, "2": {"submodules": {"21": off}}, "3": off, "6": off, "7": off}
    config = merge(every_module_enabled(), {"modules": modules})
    uploads = [factors(1, 5, 67), factors(2, 2, 20), factors(3, 8)]

    found = year_readiness(readiness(config, uploads), None, is_provisioned=True)

    assert found.blockers == (
        Blocker(BlockerCode.MISSING_REFERENCE, "plane in professional_travel lacks reference data.", 2, 20),
        Blocker(
            BlockerCode.MISSING_COMMON_FACTOR,
            "equipment_electric_consumption lacks the factors common to its entry types.",
            4,
        ),
        Blocker(BlockerCode.MISSING_COMMON_FACTOR, "purchase lacks the factors common to its entry types.", 5),
    )


def test_a_module_this_version_does_not_know_lacks_nothing():
    uploads = [Upload(1, 99, 990, TargetType.FACTORS)]

    assert year_readiness(readiness({"modules": {"99": {"submodules": {"990": {}}}}}, uploads), None, is_provisioned=True).ready
