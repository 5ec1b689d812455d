"""What can go wrong between the operator and the API server, by switch, and what was asked.

Only the operator's own requests meet these faults: users and controllers always succeed. Every
request and every write is logged, so that tests can count them and say who wrote what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from leadsman.errors import ApiError, ConflictError, UnavailableError
from leadsman.ports import Kind, Listing, Ref


class Killed(BaseException):
    """Raised by a write hook to end the operator between two lines, as SIGKILL does."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write request. `number` counts the operator's writes from 1; it is 0 for others.

    `changed` says whether something was stored; `error` is the reason of a refusal.
    """

    number: int
    time: float
    verb: str
    ref: Ref
    subresource: str
    manager: str
    body: Any
    changed: bool = False
    error: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the operator, reads included."""

    time: float
    verb: str
    kind: Kind
    namespace: str
    name: str
    subresource: str = ""


@dataclass(slots=True)
class _Rule:
    verb: str
    kind: Kind | None
    error: ApiError
    times: int
    after_applying: bool


WriteHook = Callable[[Write], None]


@dataclass(slots=True)
class Faults:
    """The switches. All are off at first."""

    down: bool = False
    """Every request is answered with UnavailableError; watches are cut by `FakeKube.cut`."""
    before_write: WriteHook | None = None
    after_write: WriteHook | None = None
    _rules: list[_Rule] = field(default_factory=list)
    _stale: dict[Kind, Listing] = field(default_factory=dict)
    _conflict_every: int = 0
    _writes: int = 0

    def fail_next(
        self,
        verb: str,
        kind: Kind | None,
        error: ApiError | None = None,
        times: int = 1,
        *,
        after_applying: bool = False,
    ) -> None:
        """Fail the next `times` requests of a verb ("*" is any) on a kind (None is any).

        With `after_applying` the write happens and its answer is lost.
        """
        error = error or UnavailableError(503, "ServiceUnavailable", "injected fault")
        self._rules.append(_Rule(verb, kind, error, times, after_applying))

    def conflict_every(self, n: int) -> None:
        """Refuse every n-th write with a conflict; 0 ends that."""
        self._conflict_every = n

    def stale_list(self, listing: Listing, kind: Kind) -> None:
        """Answer the next list of a kind with an older answer."""
        self._stale[kind] = listing

    def clear(self) -> None:
        """Everything works again."""
        self.down = False
        self.before_write = self.after_write = None
        self._rules.clear()
        self._stale.clear()
        self._conflict_every = 0

    @property
    def any_left(self) -> bool:
        """Whether something would still go wrong."""
        hooked = self.before_write is not None or self.after_write is not None
        return self.down or hooked or bool(self._rules or self._stale or self._conflict_every)

    def take_stale(self, kind: Kind) -> Listing | None:
        """The old answer for a list of this kind, once."""
        return self._stale.pop(kind, None)

    def meet(self, verb: str, kind: Kind, *, write: bool) -> ApiError | None:
        """Raise the fault due for this request, or return the one to raise after applying it."""
        if self.down:
            raise UnavailableError(0, "ConnectionRefused", "connection refused")
        if write:
            self._writes += 1
            if self._conflict_every and self._writes % self._conflict_every == 0:
                raise ConflictError(409, "Conflict", "injected conflict")
        for rule in self._rules:
            if rule.verb in (verb, "*") and rule.kind in (kind, None):
                rule.times -= 1
                if rule.times <= 0:
                    self._rules.remove(rule)
                if rule.after_applying and write:
                    return rule.error
                raise rule.error
        return None
