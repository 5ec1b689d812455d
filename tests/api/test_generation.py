"""What is generated from the models: complete, the same each time, and checked for drift."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from leadsman.api import crd, reference
from leadsman.api.kinds import KINDS
from leadsman.api.structural import SchemaError, structural

ROOT = Path(__file__).parents[2]
GENERATORS = [(crd, "crds"), (reference, "docs/reference")]
each_generator = pytest.mark.parametrize(
    ("generator", "folder"), GENERATORS, ids=[folder for _, folder in GENERATORS]
)


@each_generator
def test_what_is_committed_is_what_the_models_say(generator, folder):
    assert generator.main(["--out", str(ROOT / folder), "--check"]) == 0


@each_generator
def test_check_names_a_file_that_was_edited_by_hand(generator, folder, tmp_path, capsys):
    generator.main(["--out", str(tmp_path)])
    victim = sorted(tmp_path.iterdir())[0]
    victim.write_text(victim.read_text() + "edited")
    assert generator.main(["--out", str(tmp_path), "--check"]) == 1
    assert victim.name in capsys.readouterr().err


@each_generator
def test_check_names_a_file_of_a_kind_that_is_gone(generator, folder, tmp_path, capsys):
    generator.main(["--out", str(tmp_path)])
    suffix = sorted(tmp_path.iterdir())[0].suffix
    (tmp_path / f"gone{suffix}").write_text("old")
    assert generator.main(["--out", str(tmp_path), "--check"]) == 1
    assert f"gone{suffix}" in capsys.readouterr().err


def test_another_process_with_another_hash_seed_generates_the_same(tmp_path):
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-m", "leadsman.api.crd", "--out", str(tmp_path / seed)],
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "operator")},
        )
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / seed).iterdir()}
        for seed in ("1", "2")
    )
    assert first == second


class _Loose(BaseModel):
    """A string without a bound."""

    name: str


class _Endless(BaseModel):
    """A list without a bound."""

    names: tuple[Annotated[str, Field(max_length=3)], ...]


class _Float(BaseModel):
    """A float."""

    share: float


class _Either(BaseModel):
    """A union of types."""

    value: Annotated[str, Field(max_length=3)] | Annotated[int, Field(ge=0, le=1)]


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (_Loose, "name: a string without maxLength"),
        (_Endless, "names: a list without maxItems"),
        (_Float, "share: type number"),
        (_Either, "value: a union of several types"),
    ],
)
def test_a_model_that_kubernetes_could_not_bound_is_refused_with_its_place(model, place):
    with pytest.raises(SchemaError, match=place):
        structural(model)


def test_the_reference_has_a_page_for_each_kind_and_names_every_field():
    pages = reference.pages()
    for kind in KINDS:
        page = pages[f"{kind.kind.lower()}.md"]
        properties = crd.definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for name in properties["properties"]["spec"]["properties"]:
            assert f"| `{name}`" in page


def test_the_reference_links_an_inline_plan_instead_of_copying_it():
    page = reference.pages()["rollout.md"]
    assert "[RolloutPlan spec](rolloutplan.md#spec)" in page
    assert "## spec.plan" not in page.replace("## spec.planRef", "")
