"""One story played twice: the good Rollout alone, and with a neighbour that may be wrong.

In both the good Rollout is looked at in the same instants, so all that it decides, writes and
tells must be the same to the letter (I10). The neighbour is looked at in between, when its own
wake time comes or something moves in the cluster, and before or after the good one where both are
due. What an operator does to objects whose names begin with `next` is the neighbour's; everything
else is the good one's, whoever asked for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from leadsman.core.decision import Decision
from leadsman.core.observation import Observation
from leadsman.core.spec import RolloutSpec
from leadsman.core.status import Status
from leadsman.guards.windows import Reading, Window
from leadsman.ports import POD, REPLICASET, ROLLOUT, SERVICE, Body, Ref
from leadsman.testing import FakeNotifier, Told
from tests.core.chain import ChainChecked

from .cluster import Lab, Metrics, Operator
from .manifests import KEY, LRO, ROUTE, TARGET

NEXT = ("default", "next")
NEXT_LRO = Ref(ROLLOUT, *NEXT)
GOOD = KEY[1]
STEPS = 40
"""Passes over the neighbour in one instant; more is a hot loop."""
_COUNTED = re.compile(r"00000000-0000-4000-8000-[0-9a-f]{12}|10\.96(\.\d+){2}")


class Diary(ChainChecked):
    """What was decided about the good Rollout."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []

    def record(
        self, spec: RolloutSpec, status: Status, seen: Observation, now: float, decision: Decision
    ) -> None:
        """Note it, and hold it against the law of the chain."""
        super().record(spec, status, seen, now, decision)
        if spec.name == GOOD:
            kinds = tuple(type(one).__name__ for one in decision.actions)
            self.lines.append((now, decision.why, kinds, decision.wake_at, decision.urgency))


class Readings(Metrics):
    """The good one's readings as ever; the neighbour's canary is always well, or `theirs`."""

    theirs = ""

    @property
    def asked(self) -> bool:
        """Whether the good one is measured now."""
        return KEY in self._subscribed

    def readings(self, key: Any) -> tuple[Reading, ...]:
        """One reading a guard."""
        if key == KEY:
            return super().readings(key)
        guards, _, _ = self._subscribed.get(key, ((), None, 0.0))
        now = self.clock.now()
        if self.theirs:
            return tuple(Reading(one.name, (), (), self.theirs, None) for one in guards)
        return tuple(Reading(one.name, (Window(now, 500.0, 0.0),), (), "", now) for one in guards)


class Both(Operator):
    """The operator with a diary, and with a pass for the neighbour."""

    def __init__(self, lab: House) -> None:
        self.diary = Diary()
        self.instants: list[float] = []
        super().__init__(lab.kube, lab.clock, lab.metrics, FakeNotifier(lab.clock), self.diary)

    @property
    def told(self) -> list[Told]:
        """What was told about the good one."""
        return [one for one in self.notifier.told if one.name == GOOD]

    async def act(self) -> float | None:
        """Passes over the good one, as ever."""
        self.instants.append(self.clock.now())
        return await super().act()

    async def visit(self) -> float | None:
        """Passes over the neighbour until nothing is to do now; when to look again."""
        for _ in range(STEPS):
            idle, wake = await self.look_at(NEXT)
            if idle:
                return wake
        raise AssertionError(f"the neighbour never rests: {self.kube.peek(NEXT_LRO)}")


class House(Lab):
    """A lab whose readings and versions are those of the good Rollout alone."""

    def __init__(self, **spec: Any) -> None:
        super().__init__(**spec)
        self.metrics = Readings(self.kube, self.clock, set())
        self.operator = Both(self)

    def pods(self) -> list[Body]:
        """The good one's pods that stay, in the order in which they were made."""
        found = [
            one
            for one in self.kube.peek_all(POD, KEY[0], "app=shop")
            if "deletionTimestamp" not in one["metadata"]
        ]
        return sorted(found, key=lambda one: str(one["metadata"]["uid"]))

    def end(self) -> Mapping[str, Any]:
        """How everything of the good one is now."""
        kube = self.kube
        found: dict[str, Any] = {
            str(ref.kind.plural): plain((kube.peek(ref) or {}).get("spec"))
            for ref in (LRO, ROUTE, TARGET)
        }
        found["status"] = plain(self.status())
        found["services"] = {
            one["metadata"]["name"]: plain(one["spec"])
            for one in kube.peek_all(SERVICE, KEY[0])
            if not theirs(one["metadata"]["name"])
        }
        sizes = {name: size for name, size in kube.sizes(KEY[0]).items() if not theirs(name)}
        found["sizes"] = sizes
        found["pods"] = sorted(
            one["metadata"]["labels"]["pod-template-hash"] for one in self.pods()
        )
        owned = [
            one for one in kube.peek_all(REPLICASET, KEY[0]) if not theirs(one["metadata"]["name"])
        ]
        found["owners"] = plain([one["metadata"].get("ownerReferences") for one in owned])
        return found


class Beside(House):
    """The house with a neighbour; `follow` looks at the good one when the other house did."""

    def __init__(self, *, theirs_first: bool, **spec: Any) -> None:
        super().__init__(**spec)
        self._theirs_first = theirs_first

    async def follow(self, instants: list[float], end: float) -> None:
        """Live until `end` (Unix seconds) with passes over the good one at `instants`."""
        wake: float | None = self.clock.now()
        for at in instants:
            wake = await self._between(at, wake)
            self.kube.settle()
            if self._theirs_first:
                await self.operator.visit()
            await self.operator.act()
            wake = await self.operator.visit()
        await self._between(end, wake)

    async def _between(self, at: float, wake: float | None) -> float | None:
        """Let time pass until `at`; the neighbour alone is looked at."""
        while (now := self.clock.now()) < at:
            due = at if wake is None else max(wake, now + 0.05)
            self.kube.advance(min(at, now + 5.0, due, self.next_event()) - now)
            if self.clock.now() < at:
                wake = await self.operator.visit()
        return wake


class Street:
    """Both houses. `do` happens in both, what is done to `beside` only there."""

    def __init__(self, *, theirs_first: bool, **spec: Any) -> None:
        self.alone = House(**spec)
        self.beside = Beside(theirs_first=theirs_first, **spec)

    def do(self, what: Callable[[House], None]) -> None:
        """Something happens to the good one."""
        what(self.alone)
        what(self.beside)

    async def run(self, seconds: float) -> None:
        """Time passes in both."""
        before = len(self.alone.operator.instants)
        await self.alone.run(seconds)
        await self.beside.follow(self.alone.operator.instants[before:], self.alone.clock.now())

    def check(self) -> None:
        """The good one's life is the same in both, up to now."""
        one, other = self.alone, self.beside
        assert one.clock.now() == other.clock.now()
        same("decided", one.operator.diary.lines, other.operator.diary.lines)
        same("wrote", writes(one), writes(other))
        same("told", one.operator.told, other.operator.told)
        left, right = one.end(), other.end()
        assert left == right, [
            (key, left[key], right[key]) for key in left if left[key] != right[key]
        ]


def same(what: str, alone: list[Any], beside: list[Any]) -> None:
    """Compare two lives, and name the first difference."""
    for left, right in zip(alone, beside, strict=False):
        assert left == right, f"{what}: {left} alone, {right} beside the neighbour"
    more = alone[len(beside) :] or beside[len(alone) :]
    assert not more, f"{what} once only: {more[0]}"


def theirs(name: str) -> bool:
    """Whether an object is the neighbour's, by its name."""
    return name.startswith(NEXT[1])


def writes(lab: Lab) -> list[tuple[Any, ...]]:
    """What the operator wrote that is not the neighbour's."""
    return [
        (one.time, one.verb, one.ref, one.subresource, one.changed, one.error, plain(one.body))
        for one in lab.kube.operator_writes
        if not theirs(one.ref.name)
    ]


def plain(tree: Any) -> Any:
    """A tree without uids, versions and addresses: they are counted over the whole cluster."""
    if isinstance(tree, Mapping):
        if str(tree.get("path", "")).endswith("/resourceVersion"):
            return {"version": tree.get("op")}
        return {key: plain(value) for key, value in tree.items() if key != "resourceVersion"}
    if isinstance(tree, list | tuple):
        return [plain(one) for one in tree]
    return _COUNTED.sub("counted", tree) if isinstance(tree, str) else tree
