"""Watch caches shared by whoever asks for the same objects, ended when nobody does.

Two Rollouts in one namespace that look at the same Service share one watch. A cache lives from
the first `open` to the last `close`, so that a rollout at rest costs no watch at all.
"""

from __future__ import annotations

import asyncio

from leadsman.ports import Clock, Kind, Kube
from leadsman.runtime.informer import Informer, OnChange, Transform

Question = tuple[Kind, str, str, str, Transform | None]


class Lease:
    """One user's hold on a shared cache: read `informer`, and `close` when done."""

    def __init__(
        self, owner: InformerSet, question: Question, informer: Informer, listener: OnChange | None
    ) -> None:
        """Made by `InformerSet.open` only."""
        self.informer = informer
        self._owner = owner
        self._question = question
        self._listener = listener
        self._open = True

    def close(self) -> None:
        """Give the cache back; idempotent."""
        if self._open:
            self._open = False
            if self._listener is not None:
                self.informer.listeners.remove(self._listener)
            self._owner._release(self._question)  # noqa: SLF001 - the two are one mechanism


class InformerSet:
    """Equal questions get one informer, counted."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        """All caches read through `kube`."""
        self._kube = kube
        self._clock = clock
        self._users: dict[Question, int] = {}
        self._informers: dict[Question, Informer] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def open(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        on_change: OnChange | None = None,
        transform: Transform | None = None,
    ) -> Lease:
        """A started informer; `transform` must be the same function for caches to be shared.

        `on_change` hears changes from now on, not what is already in the cache.
        """
        question = (kind, namespace, labels, fields, transform)
        informer = self._informers.get(question)
        if informer is None:
            informer = Informer(
                self._kube,
                self._clock,
                kind,
                namespace,
                labels=labels,
                fields=fields,
                transform=transform,
            )
            self._informers[question] = informer
            informer.start()
        if on_change is not None:
            informer.listeners.append(on_change)
        self._users[question] = self._users.get(question, 0) + 1
        return Lease(self, question, informer, on_change)

    def __len__(self) -> int:
        """How many watches are open."""
        return len(self._informers)

    def all(self) -> tuple[Informer, ...]:
        """The open informers, for `observe_write` and for health."""
        return tuple(self._informers.values())

    async def close(self) -> None:
        """End all caches, whoever still holds them."""
        informers = list(self._informers.values())
        self._informers.clear()
        self._users.clear()
        await asyncio.gather(*(informer.stop() for informer in informers), *self._ending)

    def _release(self, question: Question) -> None:
        left = self._users.get(question, 0) - 1
        if left > 0:
            self._users[question] = left
            return
        self._users.pop(question, None)
        informer = self._informers.pop(question, None)
        if informer is not None:
            ending = asyncio.ensure_future(informer.stop())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
