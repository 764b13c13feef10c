"""Capabilities of a viewer on a year, as the commands will decide them."""

from gql_server.errors import RefusalReason
from gql_server.policy import CONFIGURATION_EDIT, OPERATIONS_EDIT, SYNC, UPLOAD, Reach, Viewer, reach
from gql_server.policy.capabilities import ALLOWED, Capability, Refusal, depends, missing, refused


def may_open(viewer: Viewer, *, is_started: bool, is_provisioned: bool) -> Capability:
    """Capability to open such a year by `openYear`."""
    if not viewer.may(CONFIGURATION_EDIT):
        return missing(CONFIGURATION_EDIT)
    refusal = refuse_open(is_started=is_started, is_provisioned=is_provisioned)
    if refusal is RefusalReason.YEAR_IS_OPEN:
        return refused(Refusal.WRONG_STATE, "This year is open already.")
    return ALLOWED if refusal is None else _not_provisioned()


def refuse_open(*, is_started: bool, is_provisioned: bool) -> RefusalReason | None:
    """Refusal to open a year, for the command and for `viewerCan` alike."""
    if is_started:
        return RefusalReason.YEAR_IS_OPEN
    return None if is_provisioned else RefusalReason.YEAR_NOT_PROVISIONED


def may_upload(viewer: Viewer, *, is_provisioned: bool) -> Capability:
    """Capability to upload files to the year: of every module, or only of those that they may sync in their unit."""
    reached = reach(viewer, UPLOAD)
    if reached is Reach.NONE:
        return missing(OPERATIONS_EDIT)
    if not is_provisioned:
        return _not_provisioned()
    return ALLOWED if reached is Reach.EVERY else depends(SYNC)


def may_recalculate(viewer: Viewer, *, is_provisioned: bool, is_running: bool) -> Capability:
    """Capability to compute a module of the year anew by `recalculate`."""
    if not viewer.may(OPERATIONS_EDIT):
        return missing(OPERATIONS_EDIT)
    if not is_provisioned:
        return _not_provisioned()
    return refused(Refusal.WRONG_STATE, "Its recalculation waits or runs already.") if is_running else ALLOWED


def _not_provisioned() -> Capability:
    return refused(Refusal.WRONG_STATE, "The unit sync of this year has not succeeded yet.")
