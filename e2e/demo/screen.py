"""The live view: the columns of `kubectl get lro`, a tree with stages, pods and guards, the story.

On a terminal it is redrawn four times a second; elsewhere each line of the story is printed when it
happens, and a line whenever the columns change.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from e2e.demo.frames import Frame

STORY = 10
"""Lines of the story that stay on the screen."""

STATES = {"done": ("✓", "green"), "now": ("▶", "bold cyan"), "ahead": ("·", "dim")}
VERDICTS = {"Pass": "green", "Fail": "bold red", "Inconclusive": "yellow", "NoData": "yellow"}


def columns(frame: Frame) -> tuple[str, ...]:
    """What `kubectl get lro` prints, less the age."""
    return (
        frame.ready,
        frame.state,
        frame.stage,
        frame.column_weight,
        frame.guards,
        frame.next,
        frame.version,
    )


HEADS = ("READY", "STATE", "STAGE", "WEIGHT", "GUARDS", "NEXT", "REVISION")


def table(frame: Frame) -> Table:
    """The columns as a table."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("NAME", style="bold")
    for head in HEADS:
        made.add_column(head, min_width=len(head))
    made.add_row("shop", *columns(frame))
    return made


def tree(frame: Frame) -> Tree:
    """Stages with the present one marked, pods by version, guards with value and limit."""
    weight = frame.weight or 0
    bar = "█" * round(weight * 0.4) + "░" * (40 - round(weight * 0.4))
    root = Tree(Text.assemble("canary ", (bar, "cyan"), f" {weight:>3} %"))
    stages = root.add("stages")
    for one in frame.stages:
        mark, style = STATES[one.state]
        stages.add(Text(f"{mark} {one.name:<8} {one.weight:>3} %  hold {one.hold}", style=style))
    pods = root.add("pods")
    for group in frame.pods:
        dots = Text("●" * group.ready, style="green")
        dots.append("○" * group.starting, style="yellow")
        dots.append("×" * group.ending, style="red")
        pods.add(Text.assemble(f"{group.version:<4} ", dots))
    guards = root.add("guards")
    for guard in frame.verdicts:
        text = f"{guard.name:<8} {guard.verdict:<12} {guard.value or '-':>7} of {guard.events}"
        guards.add(
            Text(f"{text}, limit {guard.limit or '-'}", style=VERDICTS.get(guard.verdict, ""))
        )
    return root


class Screen:
    """A context in which the story is told and the frame shown. Times are seconds from its start.

    `frame` is asked for what to show; it may return None while there is nothing yet.
    """

    def __init__(self, frame: Callable[[], Frame | None], title: str, *, live: bool) -> None:
        self._frame = frame
        self._title = title
        self._started = time.monotonic()
        self._story: list[str] = []
        self._before: tuple[str | int | None, ...] = ()
        self._console = Console(highlight=False)
        self._live = (
            Live(console=self._console, refresh_per_second=4, get_renderable=self._render)
            if live
            else None
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def tell(self, text: str) -> None:
        """One line of the story."""
        line = f"{self._since():6.1f} s  {text}"
        self._story.append(line)
        if self._live is None:
            print(line, flush=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        else:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._live is not None:
            self._live.stop()

    def _since(self) -> float:
        return time.monotonic() - self._started

    def _render(self) -> RenderableType:
        story = Text("\n".join(self._story[-STORY:]))
        frame = self._frame()
        parts: list[RenderableType] = [story]
        if frame is not None and frame.stages:
            message = Text(frame.message[:160], style="dim", no_wrap=True, overflow="ellipsis")
            parts = [table(frame), message, tree(frame), Text(), story]
        return Panel(Group(*parts), title=f"{self._title}   {self._since():.0f} s")

    def _follow(self) -> None:
        """Without a terminal: a line whenever the columns change."""
        while not self._ended.wait(0.2):
            frame = self._frame()
            if frame is None or not frame.stages:
                continue
            now = columns(frame)
            # NEXT moves with the stage and says nothing by itself.
            told = (*now[:5], *now[6:], frame.weight)
            if told != self._before:
                self._before = told
                pairs = zip(HEADS, now, strict=True)
                text = "  ".join(f"{head.lower()}={value}" for head, value in pairs if value)
                route = "at rest" if frame.weight is None else f"{frame.weight} % canary"
                text = f"{text}  (route: {route})"
                print(f"{self._since():6.1f} s    {text}", flush=True)


def interactive() -> bool:
    """Whether somebody watches."""
    return sys.stdout.isatty()
