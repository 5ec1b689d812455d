"""The installation's admission policies, and what can go wrong with a request."""

from __future__ import annotations

import asyncio

import pytest

from leadsman.errors import ConflictError, GoneError, NotFoundError, UnavailableError
from leadsman.ports import DEPLOYMENT, HTTPROUTE, MUTATINGPOLICY, ROLLOUT, SERVICE, Ref
from leadsman.testing import FakeClock, FakeKube, Killed
from leadsman.testing.fake_kube.policies import HOLD
from tests.testing.manifests import deployment, rollout, route, service

SHOP = Ref(DEPLOYMENT, "default", "shop")
OURS = Ref(ROLLOUT, "default", "shop")
PAUSE = [{"op": "add", "path": "/spec/paused", "value": True}]
RESUME = [{"op": "add", "path": "/spec/paused", "value": False}]
FIVE = [{"op": "replace", "path": "/spec/replicas", "value": 5}]


@pytest.fixture
def governed(kube: FakeKube) -> FakeKube:
    kube.user_apply(deployment())
    kube.user_apply(rollout())
    kube.advance(3)
    return kube


def tell(kube, **status):
    kube.user_patch(OURS, {"status": status}, "leadsman", subresource="status")


def paused(kube):
    return kube.deployment("default", "shop")["spec"].get("paused", False)


@pytest.mark.parametrize("server_side", [False, True])
def test_a_new_template_is_held_however_it_is_applied(governed, server_side) -> None:
    governed.user_apply(deployment("shop:2"), server_side=server_side, force=server_side)
    assert paused(governed)
    governed.advance(5)
    assert len(governed.sizes("default")) == 1


def test_an_applier_owns_no_hold(governed: FakeKube) -> None:
    governed.user_apply(deployment("shop:2"), server_side=True, force=True)
    before = governed.cluster.store.revision
    body = governed.deployment("default", "shop")
    for entry in body["metadata"]["managedFields"]:
        assert "f:paused" not in entry["fieldsV1"].get("f:spec", {})
    governed.user_apply(deployment("shop:2"), server_side=True)
    assert governed.cluster.store.revision == before


def test_without_a_rollout_nothing_is_held(kube: FakeKube) -> None:
    kube.user_apply(deployment())
    kube.user_apply(deployment("shop:2"))
    assert not paused(kube)


def test_a_rollout_that_is_being_deleted_holds_nothing(governed: FakeKube) -> None:
    governed.user_patch(OURS, {"metadata": {"finalizers": ["leadsman.dev/x"]}}, "leadsman")
    governed.user_delete(OURS)
    governed.user_apply(deployment("shop:2"))
    assert not paused(governed)


@pytest.mark.parametrize("status", [{"attempt": {"id": "x"}}, {"refused": {"revision": "x"}}])
async def test_only_the_operator_unpauses_while_it_matters(governed: FakeKube, status) -> None:
    governed.user_apply(deployment("shop:2"))
    tell(governed, **status)
    governed.user_patch(SHOP, RESUME, "kubectl-rollout")
    assert paused(governed)
    await governed.patch(SHOP, RESUME)
    assert not paused(governed)


def test_anybody_unpauses_when_nothing_runs(governed: FakeKube) -> None:
    governed.user_patch(SHOP, PAUSE)
    governed.user_patch(SHOP, RESUME)
    assert not paused(governed)


@pytest.mark.parametrize("subresource", ["", "scale"])
async def test_replicas_are_frozen_from_hand_over_to_release(governed, subresource) -> None:
    tell(governed, attempt={"direction": {"name": "HandingOver"}})
    governed.user_scale("default", "shop", 9, subresource=bool(subresource))
    assert governed.deployment("default", "shop")["spec"]["replicas"] == 4
    shown = await governed.patch(SHOP, FIVE, subresource=subresource, dry_run=True)
    assert shown["spec"]["replicas"] == 4
    tell(governed, attempt={"direction": {"name": "HandingOver"}, "released": True})
    governed.user_scale("default", "shop", 9)
    assert governed.deployment("default", "shop")["spec"]["replicas"] == 9


async def test_a_policy_may_learn_of_a_rollout_a_little_later(governed: FakeKube) -> None:
    governed.policies.lag = 0.02
    tell(governed, attempt={"direction": {"name": "HandingOver"}})
    more = [{"op": "replace", "path": "/spec/replicas", "value": 9}]
    assert (await governed.patch(SHOP, more, dry_run=True))["spec"]["replicas"] == 9
    governed.clock.advance(0.02)
    assert (await governed.patch(SHOP, more, dry_run=True))["spec"]["replicas"] == 4


async def test_policies_are_objects_and_can_be_taken_away(governed: FakeKube) -> None:
    listing = await governed.list(MUTATINGPOLICY)
    names = [item["metadata"]["name"] for item in listing.items]
    assert names == ["leadsman-freeze", "leadsman-hold"]
    governed.policies.remove(HOLD)
    governed.user_apply(deployment("shop:2"))
    assert not paused(governed)


async def test_an_older_server_does_not_know_the_kind() -> None:
    with pytest.raises(NotFoundError):
        await FakeKube(policies=None).list(MUTATINGPOLICY)


async def test_a_server_that_is_down_answers_nothing_and_stores_nothing(governed) -> None:
    governed.faults.down = True
    with pytest.raises(UnavailableError):
        await governed.patch(SHOP, FIVE)
    governed.faults.down = False
    assert governed.deployment("default", "shop")["spec"]["replicas"] == 4
    await governed.patch(SHOP, FIVE)


async def test_a_fault_hits_its_verb_and_kind_as_often_as_asked(governed: FakeKube) -> None:
    governed.fail_next("patch", DEPLOYMENT, times=2)
    await governed.get(SHOP)
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await governed.patch(SHOP, FIVE)
    await governed.patch(SHOP, FIVE)


async def test_an_answer_can_be_lost_after_the_write(governed: FakeKube) -> None:
    governed.fail_next("patch", DEPLOYMENT, after_applying=True)
    with pytest.raises(UnavailableError):
        await governed.patch(SHOP, FIVE)
    assert governed.deployment("default", "shop")["spec"]["replicas"] == 5


async def test_every_second_write_in_conflict(governed: FakeKube) -> None:
    governed.faults.conflict_every(2)
    await governed.patch(SHOP, FIVE)
    with pytest.raises(ConflictError):
        await governed.patch(SHOP, FIVE)
    await governed.patch(SHOP, FIVE)


@pytest.mark.parametrize(("hook", "stored"), [("before_write", 4), ("after_write", 5)])
async def test_the_operator_can_be_killed_around_a_write(governed, hook, stored) -> None:
    def kill(write) -> None:
        assert write.number == 1
        raise Killed

    setattr(governed.faults, hook, kill)
    with pytest.raises(Killed):
        await governed.patch(SHOP, FIVE)
    assert governed.deployment("default", "shop")["spec"]["replicas"] == stored


async def test_writes_are_numbered_and_dry_runs_are_not(governed: FakeKube) -> None:
    await governed.patch(SHOP, FIVE, dry_run=True)
    await governed.patch(SHOP, FIVE)
    await governed.patch(SHOP, FIVE)
    wrong = [{"op": "test", "path": "/spec/replicas", "value": 1}]
    with pytest.raises(ConflictError):
        await governed.patch(SHOP, wrong)
    told = [(write.number, write.changed, write.error) for write in governed.operator_writes]
    assert told == [(1, True, ""), (2, False, ""), (3, False, "Invalid")]
    assert {write.manager for write in governed.writes} == {
        "leadsman",
        "kubectl-client-side-apply",
    }
    assert [request.verb for request in governed.requests] == ["patch"] * 4


async def test_autorun_lets_controllers_follow_every_write() -> None:
    kube = FakeKube(autorun=True)
    kube.user_apply(deployment())
    assert len(kube.pods("default")) == 4
    kube.clock.advance(2)
    assert [available for _, available, _ in kube.sizes("default").values()] == [4]


async def test_a_watch_from_a_forgotten_version_is_gone(kube: FakeKube) -> None:
    since = (await kube.list(SERVICE)).resource_version
    kube.user_apply(service())
    kube.compact()
    with pytest.raises(GoneError):
        async for _ in kube.watch(SERVICE, since=since):
            pass


async def test_a_watch_wakes_for_changes_bookmarks_and_its_end(kube: FakeKube) -> None:
    seen: list[str] = []

    async def follow() -> None:
        seen.extend([event.type async for event in kube.watch(SERVICE, since="0")])

    task = asyncio.create_task(follow())
    await kube.clock.turns()
    kube.user_apply(service())
    kube.user_apply(route())
    await kube.clock.turns()
    kube.bookmark()
    await kube.clock.turns()
    assert kube.watches_open == 1
    kube.cut(SERVICE)
    await task
    assert seen == ["ADDED", "BOOKMARK"]
    assert kube.watches_open == 0


async def test_a_cut_watch_raises_what_it_was_cut_with(kube: FakeKube) -> None:
    async def follow() -> None:
        async for _ in kube.watch(HTTPROUTE, since="0"):
            pass

    task = asyncio.create_task(follow())
    await kube.clock.turns()
    kube.cut(error=UnavailableError(0, "Lost", "connection lost"))
    with pytest.raises(UnavailableError):
        await task


async def test_sleepers_wake_in_the_order_of_their_deadlines(clock: FakeClock) -> None:
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *waits: float) -> None:
        for wait in waits:
            await clock.sleep(wait)
            woken.append((name, clock.monotonic()))

    tasks = [asyncio.create_task(sleeper("a", 2, 2)), asyncio.create_task(sleeper("b", 1, 2, 2))]
    await clock.run(4)
    assert woken == [("b", 1), ("a", 2), ("b", 3), ("a", 4)]
    await clock.run(10)
    await asyncio.gather(*tasks)


def test_the_wall_clock_jumps_alone(clock: FakeClock) -> None:
    before = clock.now()
    clock.advance(0.1)
    clock.jump(3600)
    assert clock.now() == pytest.approx(before + 3600.1)
    assert clock.monotonic() == pytest.approx(0.1)
