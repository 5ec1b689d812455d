"""How long a gateway gets to hear of Services and endpoints before a route relies on them.

A gateway follows routes, Services and endpoints on separate ways. A route that names a Service
which it has not heard of is answered 500, one whose endpoints it has not heard of 503, and one
whose endpoints it still believes in after the pods have left 502.
"""

from __future__ import annotations

from leadsman.core.view import View

LONGEST = 1.0
"""Seconds; a plan that settles faster says that its gateway is faster."""


def lead(view: View) -> float:
    """Seconds between a change of Services or endpoints and a route that relies on it."""
    return min(view.plan.settle, LONGEST)
