"""README and tutorial: their manifests are valid and wise, and what `plan` says of them is real."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from leadsman.api.kinds import BY_NAME, parse
from leadsman.cli.main import main
from leadsman.cli.manifests import load
from tests.docs.shown import DOCS

README, TUTORIAL = DOCS.parent / "README.md", DOCS / "tutorial.md"
MANIFEST = re.compile(
    r"^(?:```yaml\n|cat > \S+ <<'YAML'\n)(apiVersion:.*?)^(?:```|YAML)$", re.M | re.S
)
PLANNED = re.compile(
    r"leadsman plan rollout\.yaml (?P<options>[-a-z0-9. ]+?)`*(?: says so beforehand:)?\n"
    r"(?:```\n+```\n|\n```\n)?(?P<output>.*?)\n```$",
    re.M | re.S,
)


def manifests(page: Path) -> list[str]:
    """The YAML files that a page has its reader write."""
    return MANIFEST.findall(page.read_text())


def ours(text: str) -> list[dict[str, Any]]:
    """The objects of this project in a file."""
    return [tree for tree in yaml.safe_load_all(text) if tree["kind"] in BY_NAME]


@pytest.fixture(params=[README, TUTORIAL], ids=lambda page: page.name)
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_what_the_reader_writes_is_valid_and_nothing_is_said_against_it(
    page: Path, tmp_path: Path
) -> None:
    kinds = []
    for number, text in enumerate(manifests(page)):
        for tree in ours(text):
            kinds.append(parse(tree).kind)
            file = tmp_path / f"{number}.yaml"
            file.write_text(text)
            assert not load([file]).warnings
    assert kinds == ["Rollout"]


def test_what_plan_is_shown_to_say_it_says(page: Path, tmp_path: Path) -> None:
    file = tmp_path / "rollout.yaml"
    file.write_text(next(text for text in manifests(page) if ours(text)))
    shown = list(PLANNED.finditer(page.read_text()))
    assert len(shown) == (1 if page == README else 2)
    for one in shown:
        command = ["plan", str(file), *one["options"].split()]
        output = CliRunner().invoke(main, command).output
        said = "\n".join(line.rstrip() for line in output.rstrip().splitlines())
        assert one["output"] == said
