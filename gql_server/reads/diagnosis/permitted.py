"""Reasons as a viewer is told them: an action that they may not take is not offered, and the remedy says whom to ask."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gql_server.policy import OPERATIONS_EDIT, OPERATIONS_VIEW, Viewer
from gql_server.reads.diagnosis.reasons import Action, Reason

NEEDED: Mapping[Action, str] = {
    Action.UPLOAD_FACTORS: OPERATIONS_EDIT,
    Action.UPLOAD_EXCHANGE_RATES: OPERATIONS_EDIT,
    Action.SEE_ROW_ERRORS: OPERATIONS_VIEW,
    Action.SEE_ERROR_DETAIL: OPERATIONS_VIEW,
    Action.RECOVER_JOB: OPERATIONS_EDIT,
    Action.ABORT_PIPELINE: OPERATIONS_EDIT,
}
"""Permissions without which an action is refused, but for those that are refused for more than a permission."""
READING = "You may not read the row errors or the full text: ask an operator for them."
DOING = "That is an operator's to do: ask one."


def permitted(viewer: Viewer, reasons: Sequence[Reason]) -> list[Reason]:
    """The reasons, each with no action that the viewer may not take."""
    return [_permitted(viewer, reason) for reason in reasons]


def _permitted(viewer: Viewer, reason: Reason) -> Reason:
    needed = NEEDED.get(reason.action) if reason.action else None
    if needed is None or viewer.may(needed):
        return reason
    asks = READING if needed == OPERATIONS_VIEW else DOING
    return replace(reason, action=None, remedy=f"{reason.remedy} {asks}" if reason.remedy else asks)
