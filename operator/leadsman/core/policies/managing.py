"""The route that the Rollout carries itself: made when it is missing, mended when it is at rest."""

from __future__ import annotations

from leadsman.core.actions import KeepRoute
from leadsman.core.decision import Decision
from leadsman.core.status import Heading
from leadsman.core.view import View


def keep_route(view: View) -> Decision | None:
    """A managed route is missing, or at rest and not as its template says."""
    drift = view.seen.route_drift
    if not drift or view.spec.deleting or view.heading is Heading.ROLLING_BACK:
        return None
    return view.act("keep_route", "Progressing", f"the managed route is {drift}", KeepRoute())
