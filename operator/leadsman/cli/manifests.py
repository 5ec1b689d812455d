"""Manifests from files: the plan and the contract that a release would be held to.

The files are what one would give to `kubectl apply`; objects of other kinds are passed over. With a
Rollout its references are followed within the files; without one there must be one plan, and every
contract counts, as if a Rollout named them all. What is wrong is said as the operator would say it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click
import yaml

from leadsman.api.guard import Guard
from leadsman.api.kinds import BY_NAME, parse
from leadsman.api.releasecontract import ContractSpec, ReleaseContract
from leadsman.api.resource import InvalidObjectError, Resource
from leadsman.api.rollout import Rollout
from leadsman.api.rolloutplan import PlanSpec, RolloutPlan
from leadsman.core.spec import Contract, Terms
from leadsman.runtime.resolve_terms import Found, contract_of, plan_of, terms_of

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Terms, what they are of, and what is unwise or not supported about them."""

    name: str
    terms: Terms
    warnings: tuple[str, ...]


def documents(paths: Iterable[Path]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every object of the files with its place; "-" is standard input."""
    for path in paths:
        if str(path) == "-":
            yield from _documents("standard input", sys.stdin)
        else:
            files = (
                sorted([*path.glob("*.yaml"), *path.glob("*.json")]) if path.is_dir() else [path]
            )
            for file in files:
                with file.open(encoding="utf-8") as stream:
                    yield from _documents(str(file), stream)


def _documents(where: str, stream: TextIO) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        for tree in yaml.safe_load_all(stream):
            if isinstance(tree, Mapping):
                items = tree.get("items") if str(tree.get("kind", "")).endswith("List") else [tree]
                yield from ((where, item) for item in items or [] if isinstance(item, Mapping))
            elif tree is not None:
                raise click.ClickException(f"{where}: holds no objects")
    except yaml.YAMLError as error:
        raise click.ClickException(f"{where}: is no YAML: {error}") from None


def load(
    paths: Iterable[Path], rollout: str | None = None, contracts: tuple[str, ...] = ()
) -> Loaded:
    """Read the terms of the files' one Rollout, or of the named one, or of plan and contracts.

    `contracts`: names of those to try in place of the Rollout's own.

    Raises ClickException that says what is missing or wrong, and where.
    """
    found: dict[str, list[Resource]] = {kind: [] for kind in BY_NAME}
    for where, body in documents(paths):
        if body.get("kind") not in BY_NAME or "leadsman" not in str(body.get("apiVersion")):
            continue
        try:
            model = parse({name: value for name, value in body.items() if name != "status"})
        except InvalidObjectError as error:
            text = "; ".join(error.problems)
            raise click.ClickException(f"{where}: {error.kind} {error.name}: {text}") from None
        found[str(body["kind"])].append(model)
    if found["Rollout"]:
        return _of_rollout(_chosen(found["Rollout"], rollout), found, contracts)
    if rollout:
        raise click.ClickException(f"no Rollout {rollout} in the files")
    plans = [model for model in found["RolloutPlan"] if isinstance(model, RolloutPlan)]
    names = contracts or tuple(model.name for model in found["ReleaseContract"])
    if len(plans) != 1 or not names:
        raise click.ClickException(
            f"the files have {len(plans)} RolloutPlan and {len(names)} ReleaseContract: give a"
            " Rollout, or one plan and at least one contract"
        )
    specs = _contracts(found, names)
    return _resolved(plans[0].name, plans[0].spec, specs, found)


def _chosen(rollouts: list[Resource], name: str | None) -> Rollout:
    models = [one for one in rollouts if isinstance(one, Rollout) and name in (None, one.name)]
    if len(models) != 1:
        names = ", ".join(one.name for one in rollouts)
        raise click.ClickException(f"which Rollout? --rollout NAME, one of: {names}")
    return models[0]


def _of_rollout(
    rollout: Rollout, found: dict[str, list[Resource]], contracts: tuple[str, ...]
) -> Loaded:
    spec = rollout.spec
    plan = spec.plan
    if plan is None:
        wanted = "" if spec.plan_ref is None else spec.plan_ref.name
        plan = _named(found, RolloutPlan, wanted, "spec.planRef").spec
    if contracts:
        return _resolved(rollout.name, plan, _contracts(found, contracts), found)
    names = [reference.name for reference in spec.contract_refs or ()]
    specs = [] if spec.contract is None else [("spec.contract", spec.contract)]
    specs += _contracts(found, names)
    return _resolved(rollout.name, plan, specs, found)


def _contracts(
    found: dict[str, list[Resource]], names: Iterable[str]
) -> list[tuple[str, ContractSpec]]:
    return [
        (f"ReleaseContract {name}: spec", _named(found, ReleaseContract, name, "contract").spec)
        for name in names
    ]


def _named(found: dict[str, list[Resource]], kind: type[R], name: str, path: str) -> R:
    for model in found[kind.__name__]:
        if isinstance(model, kind) and model.name == name:
            return model
    raise click.ClickException(f"{path}: {kind.__name__} {name} is not in the files")


def _resolved(
    name: str,
    plan: PlanSpec,
    specs: list[tuple[str, ContractSpec]],
    found: dict[str, list[Resource]],
) -> Loaded:
    told = Found()
    resolved = plan_of(plan, told)
    contract = contract_of(specs, lambda path, ref: _named(found, Guard, ref, path), told)
    if resolved is None:
        raise click.ClickException("; ".join(one.message for one in told.problems))
    if not resolved.stages:
        raise click.ClickException(f"{name}: the plan has no stages to go through")
    terms = terms_of(resolved, Contract() if contract is None else contract)
    return Loaded(name, terms, tuple(one.message for one in (*told.problems, *told.warnings)))
