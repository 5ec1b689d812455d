"""FakeNotifier: keeps what decisions told, so that a test can read it.

A real notifier queues, posts and may lose; what a decision may rely on is the same here: `notify`
returns at once and never raises, whatever it is given and whatever has become of the sink.
"""

from __future__ import annotations

from dataclasses import dataclass

from leadsman.ports import Body, Clock, Notice


@dataclass(frozen=True, slots=True)
class Told:
    """One notice: about which Rollout, and when (Unix seconds)."""

    namespace: str
    name: str
    notice: Notice
    at: float


class FakeNotifier:
    """The `Notifier` port in memory."""

    def __init__(self, clock: Clock) -> None:
        """Begin with nothing told."""
        self._clock = clock
        self.told: list[Told] = []
        self.down = False
        """The sink takes nothing: notices are lost and counted."""
        self.dropped = 0

    def notify(self, rollout: Body, notice: Notice) -> None:
        """Keep a notice; returns at once and never raises."""
        if self.down:
            self.dropped += 1
            return
        about = rollout.get("metadata") or {}
        namespace, name = str(about.get("namespace") or "default"), str(about.get("name") or "")
        self.told.append(Told(namespace, name, notice, self._clock.now()))

    @property
    def reasons(self) -> list[str]:
        """The reasons so far."""
        return [one.notice.reason for one in self.told]
