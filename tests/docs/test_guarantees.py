"""Each guarantee names tests, oracles and figures that exist."""

from __future__ import annotations

import json
import re

from tests.docs.shown import DOCS

ROOT = DOCS.parent
PAGE = (DOCS / "guarantees.md").read_text()
NAMED = re.compile(r"`(?P<file>[\w/.-]*test_\w+\.py)?(?P<test>::test_\w+)?`")
FILES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for folder in ("tests", "e2e")
    for path in sorted((ROOT / folder).rglob("test_*.py"))
}


def found(file: str) -> list[str]:
    """The texts of the files that a name means: a whole path, or the end of one."""
    return [text for path, text in FILES.items() if path == file or path.endswith(f"/{file}")]


def test_the_tests_exist() -> None:
    named = [(one["file"], one["test"]) for one in NAMED.finditer(PAGE) if one[0] != "``"]
    assert len(named) > 60
    lost = []
    for file, test in named:
        texts = found(file) if file else list(FILES.values())
        wanted = f"def {test.removeprefix('::')}(" if test else ""
        if not any(wanted in text for text in texts):
            lost.append(f"{file or ''}{test or ''}")
    assert not lost


def test_the_oracles_exist() -> None:
    places = ("e2e/harness/oracles.py", "tests/property/oracles.py")
    oracles = "".join((ROOT / place).read_text() for place in places)
    named = re.findall(r"oracles? `(\w+)`", PAGE)
    assert named
    assert all(f"def {name}(" in oracles for name in named)


def test_the_figures_exist() -> None:
    results = json.loads((ROOT / "bench" / "results.json").read_text())
    named = [
        name
        for told in re.findall(r"bench ((?:`[a-z0-9_*]+`(?:, )?)+)", PAGE)
        for name in re.findall(r"`([a-z0-9_*]+)`", told)
    ]
    assert len(named) > 5
    for name in named:
        pattern = re.compile(name.replace("*", ".*"))
        assert any(pattern.fullmatch(key) for key in results), name
