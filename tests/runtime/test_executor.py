"""Carrying decisions out: which fields a write may touch, its fences, and when there is none."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from leadsman.core import actions as act
from leadsman.core.observation import Observation, Role
from leadsman.core.spec import RolloutSpec, Terms
from leadsman.errors import ConflictError, UnavailableError
from leadsman.ports import (
    CONTROLLERREVISION,
    DEPLOYMENT,
    HTTPROUTE,
    REPLICASET,
    ROLLOUT,
    SERVICE,
    Body,
    Ref,
)
from leadsman.runtime.executor import Executor
from leadsman.runtime.finalizer import FINALIZER
from leadsman.runtime.reader import DirectReader
from leadsman.runtime.sight import Sight
from leadsman.runtime.termsbook import TermsBook
from tests.core.test_record import TERMS
from tests.runtime.test_modes import world_of
from tests.runtime.worlds import NS, World, adopted, deployment, service

ALLOWED = {
    ("Rollout", "shop"): r"/metadata/finalizers.*|/status.*",
    ("Deployment", "shop"): r"/spec/paused",
    ("Service", "shop"): r"/spec/selector/pod-template-hash",
    ("HTTPRoute", "shop"): r"/spec/rules/0/backendRefs(/\d+.*)?",
    ("ReplicaSet", ""): (
        r"/spec/replicas|/metadata/ownerReferences.*"
        r"|/metadata/annotations(/deployment.kubernetes.io/desired-replicas)?"
    ),
    ("Service", ""): r"/spec/selector.*|/metadata/labels.*",
}
"""Paths that our patches may change, by kind and name; "" is for objects of our own."""
SERVED = re.compile(r"/metadata/(resourceVersion|generation|managedFields).*|/status.*")
"""Paths that the server itself changes with any write."""


def changed(one: Any, other: Any, path: str = "") -> set[str]:
    """The paths at which two trees differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        found: set[str] = set()
        for key in one.keys() | other.keys():
            found |= changed(one.get(key), other.get(key), f"{path}/{key}")
        return found
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return {each for at, (a, b) in pairs for each in changed(a, b, f"{path}/{at}")}
    return set() if one == other else {path or "/"}


def watch_writes(world: World) -> list[tuple[Ref, set[str]]]:
    """Record for each patch of ours which paths it changed."""
    found: list[tuple[Ref, set[str]]] = []
    patch = world.kube.patch

    async def watched(ref: Ref, operations: Any, **more: Any) -> Body:
        before = await world.kube.get(ref)
        after = await patch(ref, operations, **more)
        if not more.get("dry_run"):
            status = more.get("subresource") == "status"
            paths = changed(before, after)
            found.append((ref, {p for p in paths if status or not SERVED.fullmatch(p)}))
        return after

    world.kube.patch = watched  # type: ignore[method-assign]
    return found


async def test_no_write_touches_a_field_that_it_should_not() -> None:
    world = await adopted()
    world.kube.user_apply(service(team="a"))
    found = watch_writes(world)
    world.kube.user_apply(deployment("v2"))
    assert await world.run(90, lambda: world.ready == "Promoted")
    await world.opened("v1", 60)
    world.sampler.bad = 0.5
    assert await world.run(60, lambda: world.ready == "RolledBack")
    kinds = {ref.kind.kind for ref, paths in found if paths}
    assert kinds == {"Rollout", "Deployment", "Service", "HTTPRoute", "ReplicaSet"}
    for ref, paths in found:
        kind = ref.kind.kind
        allowed = ALLOWED.get((kind, ref.name)) or ALLOWED[kind, ""]
        for path in paths:
            spec = path != "/metadata/resourceVersion" and not path.startswith("/metadata/managed")
            assert not spec or re.fullmatch(allowed + r"|/metadata/generation", path), (ref, path)


async def test_every_patch_is_fenced_but_the_one_that_lowers() -> None:
    world = await adopted()
    await world.opened(seconds=60)
    world.sampler.bad = 0.5
    assert await world.run(60, lambda: world.ready == "RolledBack")
    world.kube.user_apply(deployment("v3"))
    world.sampler.bad = 0.0
    assert await world.run(120, lambda: world.ready == "Promoted")
    loose = [
        one
        for one in world.kube.operator_writes
        if one.verb == "patch" and "/metadata/resourceVersion" not in json.dumps(one.body)
    ]
    assert {one.ref.kind for one in loose} == {HTTPROUTE}
    assert all('"test"' in json.dumps(one.body) for one in loose)
    assert len(loose) == 1


async def seen_by(world: World) -> tuple[Executor, RolloutSpec, Sight]:
    """An executor with a sight of the world as it is."""
    world.sync()
    rollout = world.body(ROLLOUT, "shop")
    spec = RolloutSpec(NS, "shop", rollout["metadata"]["uid"], 1, "shop", TERMS)
    sight = Sight(
        Observation(),
        rollout,
        world.body(DEPLOYMENT, "shop"),
        {b["metadata"]["name"]: b for b in world.all(REPLICASET)},
        {"shop": world.body(SERVICE, "shop")},
        {
            ("shop", role): world.body(SERVICE, f"shop-{role.value}")
            for role in Role
            if world.exists(SERVICE, f"shop-{role.value}")
        },
        {("HTTPRoute", "shop"): world.body(HTTPROUTE, "shop")},
    )
    executor = Executor(
        world.kube,
        world.store,
        DirectReader(world.kube),
        world.notices,
        TermsBook(world.kube),
    )
    return executor, spec, sight


async def do(world: World, *actions: act.Action) -> Any:
    executor, spec, sight = await seen_by(world)
    return await executor.execute((NS, "shop"), spec, sight, actions)


TWICE: list[tuple[act.Action, ...]] = [
    (act.AddFinalizer(),),
    (act.SetArm("shop", Role.STABLE, "h"),),
    (act.RecordTerms("shop-h-1"),),
    (act.CreateCanary("h", 2),),
    (act.DropArms(("shop",)),),
    (act.RestoreRules(()),),
    (act.SetWeights(0, lowering=True),),
    (act.KeepRoute(),),
]


@pytest.mark.parametrize("actions", TWICE, ids=lambda a: type(a[0]).__name__)
async def test_what_is_done_already_makes_no_write(actions: tuple[act.Action, ...]) -> None:
    world = await adopted()
    assert (await do(world, *actions)).error is None
    before = world.kube.cluster.store.revision
    assert (await do(world, *actions)).error is None
    assert world.kube.cluster.store.revision == before


async def test_the_first_refusal_stops_the_rest() -> None:
    world = await adopted()
    world.kube.fail_next("create", SERVICE, UnavailableError(503, "X", "x"))
    told = len(world.notices.told)
    outcome = await do(
        world,
        act.RecordTerms("shop-h-1"),
        act.SetArm("shop", Role.STABLE, "h"),
        act.Emit("Promoted", "never"),
    )
    assert outcome.done == 1
    assert outcome.error is not None
    assert world.exists(CONTROLLERREVISION, "shop-h-1")
    assert len(world.notices.told) == told


async def test_a_name_that_somebody_else_has_is_a_conflict_and_not_taken() -> None:
    world = await adopted()
    executor, spec, sight = await seen_by(world)
    world.kube.user_apply(service("shop-stable"))
    before = world.body(SERVICE, "shop-stable")
    arm = (act.SetArm("shop", Role.STABLE, "h"),)
    outcome = await executor.execute((NS, "shop"), spec, sight, arm)
    assert isinstance(outcome.error, ConflictError)
    assert world.body(SERVICE, "shop-stable") == before


async def test_a_patch_on_an_old_world_is_a_conflict_and_reads_anew() -> None:
    world = await adopted()
    executor, spec, sight = await seen_by(world)
    assert sight.deployment is not None
    about = sight.deployment["metadata"]
    world.kube.user_scale(NS, "shop", 6)
    pause = (act.Pause(about["uid"], about["resourceVersion"]),)
    outcome = await executor.execute((NS, "shop"), spec, sight, pause)
    assert outcome.conflict
    stored = world.store.deployment(NS, "shop")
    assert stored is not None
    assert stored["spec"]["replicas"] == 6


async def test_recorded_terms_are_read_back_exactly_and_damaged_ones_are_written_anew() -> None:
    world = await adopted()
    rollout = world.body(ROLLOUT, "shop")
    await TermsBook(world.kube).write("shop-h-1", TERMS, rollout)
    assert await TermsBook(world.kube).read(NS, "shop-h-1", rollout) == (TERMS, None)
    other = Terms(TERMS.plan, TERMS.contract)
    await TermsBook(world.kube).write("shop-h-1", other, rollout)
    world.kube.user_patch(
        Ref(CONTROLLERREVISION, NS, "shop-h-1"),
        [{"op": "replace", "path": "/data", "value": {"plan": 3}}],
    )
    book = TermsBook(world.kube)
    assert await book.read(NS, "shop-h-1", rollout) == (None, None)
    await book.write("shop-h-1", TERMS, rollout)
    assert await TermsBook(world.kube).read(NS, "shop-h-1", rollout) == (TERMS, None)
    await book.drop(NS, "shop-h-1")
    await book.drop(NS, "shop-h-1")
    assert not world.exists(CONTROLLERREVISION, "shop-h-1")


async def test_terms_that_the_api_cannot_give_are_unread_and_not_missing() -> None:
    world = await adopted()
    rollout = world.body(ROLLOUT, "shop")
    world.kube.fail_next("get", CONTROLLERREVISION, UnavailableError(503, "X", "x"))
    terms, problem = await TermsBook(world.kube).read(NS, "shop-h-1", rollout)
    assert terms is None
    assert problem is not None
    assert problem.reason == "ControllerRevision"


async def test_a_finalizer_of_somebody_else_stays() -> None:
    world = await adopted()
    ref = Ref(ROLLOUT, NS, "shop")
    add = [{"op": "add", "path": "/metadata/finalizers/-", "value": "other.dev/x"}]
    world.kube.user_patch(ref, add)
    assert world.body(ROLLOUT, "shop")["metadata"]["finalizers"] == [FINALIZER, "other.dev/x"]
    assert (await do(world, act.DropFinalizer())).error is None
    assert world.body(ROLLOUT, "shop")["metadata"]["finalizers"] == ["other.dev/x"]


async def test_lowering_goes_to_every_route_though_one_refuses() -> None:
    world = await world_of("two_routes")
    await world.opened(seconds=60)
    await world.run(3)
    world.kube.fail_next("patch", HTTPROUTE, UnavailableError(503, "X", "x"), times=1)
    world.sampler.bad = 0.5
    await world.passes()
    weights = {
        body["metadata"]["name"]: body["spec"]["rules"][0]["backendRefs"][1]["weight"]
        for body in world.all(HTTPROUTE)
    }
    assert sorted(weights.values()) == [0, 20]
    assert await world.run(3, lambda: world.canary_weight() == 0)
