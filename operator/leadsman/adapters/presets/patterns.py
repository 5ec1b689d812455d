r"""Users' regular expressions, matched in the operator.

Prometheus matches with RE2, which never backtracks; Python's engine does. To let one query serve a
request counter and its error counter, a user's expression is matched here, series by series. So
only the part of the syntax is taken on which both engines agree and on which Python cannot run
away: literals, `.`, classes, `\d \w \s`, groups, alternation, and repetition of a single character
or class, at most twice without an upper bound. That is enough for `5..|429`, `(GET|POST)` or
`/api/.*`; anything else is refused with a message, never guessed.
"""

from __future__ import annotations

import re

from leadsman.adapters.presets.shape import QueryInvalidError

_TOKEN = re.compile(
    r"""
      (?P<open>\((?:\?:)?)
    | (?P<close>\))
    | (?P<bar>\|)
    | (?P<atom>\\[dwsDWS] | \\[^A-Za-z0-9\s] | \[\^?(?:\\[dws] | \\[^A-Za-z0-9\s]
                | [^\]\[\\&~|])+\] | [^\\.()\[\]{}*+?|^$] | \.)
    | (?P<many>[*+])
    | (?P<few>\?|\{[0-9]{1,2}(?:,[0-9]{1,2})?\})
    """,
    re.VERBOSE | re.ASCII,
)
_UNBOUNDED = 2


def checked(pattern: str) -> str:
    """Return the pattern if it is in the common subset. Raises QueryInvalidError."""
    if len(pattern) > 256:
        raise QueryInvalidError("regular expression longer than 256 characters")
    position, depth, unbounded, before = 0, 0, 0, ""
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        kind = token.lastgroup if token else None
        if token is None or kind is None:
            raise _unsupported(pattern, position)
        if kind in ("many", "few") and before != "atom" and not _optional(token, before):
            raise _unsupported(pattern, position)
        unbounded += kind == "many"
        depth += (kind == "open") - (kind == "close")
        if depth < 0 or unbounded > _UNBOUNDED:
            raise _unsupported(pattern, position)
        position, before = token.end(), kind
    if depth:
        raise _unsupported(pattern, position)
    try:
        re.compile(pattern)
    except re.error as error:
        raise _unsupported(pattern, error.pos or 0) from error
    return pattern


def _optional(token: re.Match[str], before: str) -> bool:
    return token.group() == "?" and before == "close"


def _unsupported(pattern: str, position: int) -> QueryInvalidError:
    return QueryInvalidError(
        f"regular expression {pattern[:40]!r}: not supported at character {position + 1} "
        "(use literals, '.', classes, groups, '|', and at most two of '*' or '+')"
    )
