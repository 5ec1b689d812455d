"""The pages of the judges: each judge has one, its contracts are valid, its outputs are real."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadsman.api.guard import Judge
from leadsman.api.schema import camel
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
        assert not said
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
