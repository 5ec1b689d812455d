"""The sampler on the cluster in memory: traffic, gateway, scrapes and evidence together."""

from __future__ import annotations

import pytest

from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.core.spec import GuardSpec
from leadsman.guards.judges import Threshold, judge
from leadsman.guards.verdict import Verdict
from leadsman.runtime.sampler import Sampler
from leadsman.testing import FakeKube, FakeMetrics
from tests.testing.manifests import deployment, route, service

KEY = ("default", "shop")
ERRORS = GuardSpec("errors", Threshold(0.05, 5.0, 50), query='{"errors":{"preset":"Traefik"}}')
OWN = GuardSpec(
    "own",
    Threshold(0.05, 5.0, 50),
    query=(
        '{"ratio":{"bad":{"metric":"demo_requests_total","matchRegex":{"code":"5.."}},'
        '"total":{"metric":"demo_requests_total"}}}'
    ),
)


@pytest.fixture
def kube():
    kube = FakeKube()
    canary = deployment(image="shop:2", replicas=1)
    canary["metadata"]["name"] = "shop-2"
    for part in (
        canary["spec"]["selector"]["matchLabels"],
        canary["spec"]["template"]["metadata"]["labels"],
    ):
        part["app"] = "shop-2"
    for manifest in (
        deployment(replicas=2),
        canary,
        service("shop-stable", app="shop"),
        service("shop-canary", app="shop-2"),
        route(("shop-stable", 80), ("shop-canary", 20)),
    ):
        kube.user_apply(manifest)
    kube.advance(3)
    return kube


async def test_guards_on_the_router_and_on_the_pods_follow_the_canary(kube):
    metrics = FakeMetrics(kube)
    metrics.route_load("default", "shop", 200)
    sets = {
        body["metadata"]["labels"]["app"]: body["metadata"]["name"]
        for body in await replica_sets(kube)
    }
    arms = Arms(
        namespace="default",
        routes=(("HTTPRoute", "shop"),),
        canary=ArmNames(("shop-canary",), (sets["shop-2"],)),
        stable=ArmNames(("shop-stable",), (sets["shop"],)),
    )
    told = []
    sampler = Sampler(kube.clock, lambda _: metrics, told.append)
    sampler.subscribe(KEY, (ERRORS, OWN), arms, kube.clock.now())

    def verdicts():
        return [
            judge(g.judge, r).verdict
            for g, r in zip((ERRORS, OWN), sampler.readings(KEY), strict=True)
        ]

    await kube.clock.run(12)
    assert verdicts() == [Verdict.PASS, Verdict.PASS]
    shares = sampler.shares(KEY)
    assert shares is not None
    assert shares[0] / sum(shares) == pytest.approx(0.2, abs=0.01)
    metrics.set_quality("shop:2", error_rate=0.5)
    told.clear()
    await kube.clock.run(3)
    assert verdicts() == [Verdict.FAIL, Verdict.FAIL]
    assert KEY in told
    metrics.faults.nan = True
    await kube.clock.run(10)
    assert verdicts() == [Verdict.NO_DATA, Verdict.NO_DATA]
    assert [reading.error for reading in sampler.readings(KEY)] == ["Stale", "Stale"]
    await sampler.close()


async def replica_sets(kube):
    from leadsman.ports import REPLICASET

    return (await kube.list(REPLICASET, "default")).items
