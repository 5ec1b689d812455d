"""How often a revision was tried, from a history of ten attempts.

Retries of one revision spend its budget of false rollbacks and never refill it, so their number
must outlive the history: each entry carries the count of all before it.
"""

from __future__ import annotations

from leadsman.core.status import Past

MOST = 2**31 - 1
"""Not even a machine tries a revision so often."""


def tries(history: tuple[Past, ...], revision: str) -> int:
    """Return how often a revision was tried without a promotion.

    An entry whose count is missing, or cannot be true, counts as one more than those before it.
    Once ten attempts of other revisions have pushed the last entry out, nothing is known.
    """
    found = 0
    for past in history:
        if past.revision != revision:
            continue
        if 0 < past.tries < MOST:
            found = past.tries
        elif past.outcome != "Promoted":
            found += 1
    return found
