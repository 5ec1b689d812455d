"""Where a Rollout is in its life, as far as it rules out what a policy could have to say.

Most policies begin with the same question, whether there is an attempt and where it goes. It is
asked once a pass here, and the chain is walked without those whose answer would be no.
"""

from __future__ import annotations

from enum import IntEnum

from leadsman.core.members import ROLLING_BACK
from leadsman.core.view import View
from leadsman.guards.words import plain


@plain
class Phase(IntEnum):
    """One of the phases that a Rollout can be in."""

    REST = 0
    """No attempt."""

    SHIFTING = 1
    """An attempt on its way to a stage's weight, or back to it."""

    MEASURING = 2
    """A stage's weight has arrived, and the stage is watched."""

    HANDING_OVER = 3
    """All stages have passed; the set is not released yet."""

    RELEASED = 4
    """The set was given to the Deployment: there is only forward."""

    ROLLING_BACK = 5
    """Back to stable."""


_REST, _SHIFTING, _MEASURING = Phase.REST, Phase.SHIFTING, Phase.MEASURING


def phase_of(view: View) -> Phase:
    """The phase that a view shows."""
    attempt = view.attempt
    if attempt is None:
        return _REST
    if view.forward:
        stage = attempt.stage
        if stage.measuring_since is None or stage.commanded_at is None or attempt.routed_at is None:
            return _SHIFTING
        return _MEASURING
    if view.released:
        return Phase.RELEASED
    return Phase.ROLLING_BACK if view.heading is ROLLING_BACK else Phase.HANDING_OVER
