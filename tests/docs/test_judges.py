"""The pages of the judges: each judge has one, its contracts are valid, its outputs are real."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadsman.api.guard import Judge
from leadsman.api.schema import camel
from leadsman.guards import glances
from leadsman.guards.gathering import figures_of, gather, gathers
from leadsman.guards.judges import Relative, Threshold
from leadsman.guards.memory import Gathered, Place
from leadsman.guards.verdict import Figures
from leadsman.guards.windows import Block, Window
from tests.docs.shown import JUDGES, blocks, objects, pages, renewed, terms

NAMES = {camel(name) for name in Judge.model_fields}
PAGES = tuple(pages())
ids = [page.stem for page in PAGES]


def test_each_judge_of_the_api_has_a_page_and_a_place_in_the_index() -> None:
    assert {page.stem for page in PAGES} == NAMES
    index = (JUDGES / "README.md").read_text()
    assert all(f"[{name}]({name}.md)" in index for name in NAMES)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_contract_of_a_page_is_valid_wise_and_uses_its_judge(page: Path) -> None:
    contracts = blocks(page, "yaml")
    assert contracts
    for text in contracts:
        found, said = terms(text)
        # A page shows its judge alone, also one that stops nothing: that is told, nothing else.
        alone = page.stem in ("negativeControl", "sampleRatio", "relative")
        assert ["no guard can stop" in one for one in said] == [True] * alone
        assert "CannotStop" in page.read_text() or not alone
        judges = [one["guard"]["judge"] for tree in objects(text) for one in tree["spec"]["guards"]]
        assert [list(judge) for judge in judges] == [[page.stem]] * len(judges)
        kinds = {type(one.judge).__name__.lower() for one in found.contract.guards}
        assert kinds == {page.stem.lower()}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_output_of_a_page_is_what_explain_prints(page: Path) -> None:
    """Where it fails: `python -m tests.docs.shown` writes the pages anew."""
    text = page.read_text()
    assert "<!-- simulated: " in text
    assert renewed(page) == text


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_a_page_says_when_what_is_needed_and_how_often_it_is_wrong(page: Path) -> None:
    text = page.read_text()
    for heading in ("**Use it**", "**Not**", "**Needs**", "**Error rate"):
        assert f"\n{heading}" in text
    assert len(text.splitlines()) <= 50, "one screen"


def said(name: str) -> Figures:
    """The figures of a page's first contract, of traffic that is worth judging."""
    judge = terms(blocks(JUDGES / f"{name}.md", "yaml")[0])[0].contract.guards[0].judge
    if isinstance(judge, Threshold | Relative):
        window = Window(1.0, 1000.0, 20.0)
        found = glances.figures(glances.Glance(judge, window, window))
    else:
        assert gathers(judge)
        seen = tuple(Block(t, t + 1.0, 100, t % 3, 300, t % 5) for t in map(float, range(1, 90)))
        place = Place(0, 0, 25)
        found = figures_of(judge, place, gather(judge, place, Gathered(), seen).memory)
    assert found is not None
    return found


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_index_says_what_each_judge_says_beside_its_verdict(name: str) -> None:
    rows = [line for line in (JUDGES / "README.md").read_text().splitlines() if "| `" in line]
    (row,) = [line for line in rows if line.startswith(f"| `{name}` |")]
    _, _, estimate, interval, evidence, gathered, shown, _ = map(str.strip, row.split("|"))
    found = said(name)
    assert (estimate != "-") == (found.estimate is not None)
    assert (interval != "-") == (found.low is not None and found.high is not None)
    assert (evidence != "-") == (found.log_e is not None and found.log_limit is not None)
    assert (gathered != "-") == (found.information is not None)
    assert (shown != "-") == (found.detectable is not None)
    kind = {"ratio": "a ratio", "share": "a share"}.get(found.kind, "a difference")
    assert shown == kind
