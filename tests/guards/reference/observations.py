"""Observations of Kayenta's "tie out with R" (MannWhitneySuite.scala): 90 an arm, experiment first.

Ranks do not ask for an order, so of the ninety it is kept how many there are of each value.
"""

from __future__ import annotations

import numpy as np

from tests.guards.reference.ranks import Values


def repeated(counts: dict[float, int]) -> Values:
    """Return each value as often as its count says."""
    return np.repeat(list(counts), list(counts.values())).astype(float)


FIRST_FIFTEEN = (
    np.array((2.5, 2.5, 2, 2.5, 3.5, 2, 3.5, 1.5, 3, 3, 2.5, 3.5, 2, 2.5, 2)),
    np.array((1.5, 6, 5, 2.5, 2.5, 2, 2, 3.5, 3, 3, 3, 2, 3, 8, 4)),
)

NINETY = (
    repeated(
        {1.5: 9, 2: 16, 2.5: 22, 3: 17, 3.5: 9, 4: 5, 4.5: 1}
        | {5: 3, 5.5: 1, 6: 2, 6.5: 2, 7: 1, 7.5: 1, 16.5: 1}
    ),
    repeated(
        {1.5: 2, 2: 16, 2.5: 18, 3: 16, 3.5: 10, 4: 8, 4.5: 4}
        | {5: 6, 5.5: 2, 6: 5, 8: 1, 15.5: 1, 54.5: 1}
    ),
)
