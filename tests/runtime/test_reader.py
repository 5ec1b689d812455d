"""The cached reader: no request while nothing changes, fresh after own writes, closed at rest."""

from __future__ import annotations

import pytest

from leadsman.errors import UnavailableError
from leadsman.ports import POD, REPLICASET, SERVICE, Ref
from leadsman.runtime.informers import InformerSet
from leadsman.runtime.reader import CachedReader
from tests.runtime.worlds import KEY, NS, World, adopted, deployment, service


def cached(world: World) -> tuple[CachedReader, InformerSet, list[int]]:
    heard: list[int] = []
    informers = InformerSet(world.kube, world.clock)
    return CachedReader(informers, lambda _, urgency: heard.append(urgency)), informers, heard


async def test_a_second_look_costs_no_request() -> None:
    world = await adopted()
    reader, informers, _ = cached(world)
    assert len(await reader.list(KEY, POD, "app=shop")) == 4
    assert await reader.get(KEY, SERVICE, "none") is None
    count = len(world.kube.requests)
    assert len(await reader.list(KEY, POD, "app=shop")) == 4
    assert await reader.get(KEY, SERVICE, "none") is None
    assert len(world.kube.requests) == count
    await informers.close()


async def test_a_write_is_seen_before_its_event() -> None:
    world = await adopted()
    reader, informers, _ = cached(world)
    assert await reader.get(KEY, SERVICE, "other") is None
    await reader.list(KEY, SERVICE, "leadsman.dev/rollout=shop")
    body = await world.kube.create(SERVICE, NS, service("other"))
    reader.wrote(SERVICE, body)
    assert await reader.get(KEY, SERVICE, "other") is not None
    assert await reader.list(KEY, SERVICE, "leadsman.dev/rollout=shop") == ()
    await world.kube.delete(Ref(SERVICE, NS, "other"))
    reader.deleted(SERVICE, NS, "other", body["metadata"]["uid"])
    assert await reader.get(KEY, SERVICE, "other") is None
    await informers.close()


async def test_closing_ends_every_watch() -> None:
    world = await adopted()
    reader, informers, _ = cached(world)
    await reader.list(KEY, POD, "app=shop")
    await reader.list(KEY, REPLICASET, "app=shop")
    assert len(informers) == 2
    reader.close(KEY)
    reader.close(KEY)
    assert len(informers) == 0
    await informers.close()


async def test_a_pod_that_fell_is_more_urgent_than_anything_else() -> None:
    world = await adopted()
    reader, informers, heard = cached(world)
    pods = await reader.list(KEY, POD, "app=shop")
    await world.kube.run(0.1)
    world.kube.kubelet.crash(NS, pods[0]["metadata"]["name"])
    await world.kube.run(0.5)
    assert 0 in heard
    assert "spec" not in pods[0]
    await informers.close()


async def test_a_cache_that_never_fills_is_an_error_and_no_empty_world(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("leadsman.runtime.reader.FIRST_LIST_SECONDS", 0.01)
    world = await adopted()
    world.kube.faults.down = True
    reader, informers, _ = cached(world)
    with pytest.raises(UnavailableError):
        await reader.list(KEY, POD, "app=shop")
    await informers.close()


async def test_a_release_runs_on_caches_alone_and_leaves_none_open() -> None:
    world = await adopted()
    reader, informers, _ = cached(world)
    world.start(reader)
    before = len(world.kube.requests)
    world.kube.user_apply(deployment("v2"))
    for _ in range(400):
        await world.passes()
        if world.ready == "Promoted":
            break
        await world.kube.run(0.25)
    assert world.ready == "Promoted"
    await world.passes()
    assert len(informers) == 0
    lists = [one for one in world.kube.requests[before:] if one.verb == "list"]
    assert len([one for one in lists if one.kind == POD]) == 1
    await informers.close()
