"""The main stories on the cluster in memory, each from a release to rest."""

from __future__ import annotations

import pytest

from leadsman.errors import ForbiddenError
from leadsman.ports import HTTPROUTE

from .cluster import Lab
from .machine import PLAN
from .manifests import LRO, ROUTE, ROUTE_MANIFEST, TARGET, deployment
from .oracles import watch


async def adopted(**spec) -> Lab:
    lab = Lab(**spec)
    await lab.run(3)
    assert lab.ready()["reason"] == "Stable"
    return lab


async def test_a_good_release_is_promoted_and_no_canary_pod_restarts():
    lab = await adopted()
    lab.release("v2")
    await lab.run(0.5)
    assert lab.kube.peek(TARGET)["spec"]["paused"] is True
    assert lab.versions() == {"v1": 4}
    await lab.until_rest()
    assert lab.versions() == {"v2": 4}
    assert lab.ready()["reason"] == "Promoted"
    assert "paused" not in lab.kube.peek(TARGET)["spec"]
    lab.assert_given_back()


async def test_a_bad_release_is_rolled_back_and_refused():
    lab = await adopted()
    lab.metrics.bad = {"v2"}
    lab.release("v2")
    await lab.until_rest()
    assert lab.versions() == {"v1": 4}
    assert lab.ready()["reason"] == "RolledBack"
    assert lab.status()["history"][-1]["maxWeight"] == 25
    lab.assert_given_back()
    before = len(lab.kube.operator_writes)
    await lab.run(300)
    assert len(lab.kube.operator_writes) == before


async def test_a_return_to_an_older_version_takes_its_set_over():
    lab = await adopted()
    lab.release("v2")
    await lab.until_rest()
    lab.release("v1")
    await lab.until_rest()
    assert lab.versions() == {"v1": 4}
    assert lab.ready()["reason"] == "Promoted"
    lab.assert_given_back()


async def test_a_newer_template_supersedes_and_stable_stays_the_base():
    lab = await adopted()
    lab.release("v2")
    await lab.run(6)
    lab.release("v3")
    await lab.until_rest()
    assert lab.versions() == {"v3": 4}
    assert [one["outcome"] for one in lab.status()["history"]] == ["Superseded", "Promoted"]
    lab.assert_given_back()


async def test_a_revert_lifts_the_hold_without_a_rollout():
    lab = await adopted()
    lab.release("v2")
    await lab.run(6)
    lab.release("v1")
    await lab.until_rest()
    assert lab.versions() == {"v1": 4}
    assert "paused" not in lab.kube.peek(TARGET)["spec"]
    lab.assert_given_back()


async def test_a_revert_after_a_refusal_clears_it():
    lab = await adopted()
    lab.metrics.bad = {"v2"}
    lab.release("v2")
    await lab.until_rest()
    lab.release("v1")
    await lab.until_rest()
    assert lab.ready()["reason"] in ("Stable", "Promoted")
    assert "refused" not in lab.status()
    assert "paused" not in lab.kube.peek(TARGET)["spec"]


@pytest.mark.parametrize("seconds", [0.0, 1.0, 3.0, 6.0, 9.0, 12.0, 15.0])
async def test_deleting_the_rollout_gives_everything_back(seconds):
    lab = await adopted()
    lab.release("v2")
    await lab.run(seconds)
    lab.kube.user_delete(LRO)
    await lab.run(60)
    assert lab.kube.peek(LRO) is None
    lab.assert_given_back()
    assert "paused" not in lab.kube.peek(TARGET)["spec"]


@pytest.mark.parametrize("policies", ["", None, "hold", "freeze"])
async def test_without_the_policies_stable_keeps_its_strength(policies):
    lab = Lab(policies=policies)
    await lab.run(3)
    lab.release("v2")
    await lab.until_rest()
    assert lab.versions() == {"v2": 4}
    lab.assert_given_back()


async def test_hold_paused_promotes_and_stays_paused():
    lab = Lab(policies=None, hold="Paused")
    await lab.run(3)
    assert lab.kube.peek(TARGET)["spec"]["paused"] is True
    lab.release("v2")
    await lab.until_rest()
    assert lab.versions() == {"v2": 4}
    assert lab.kube.peek(TARGET)["spec"]["paused"] is True


@pytest.mark.parametrize("replicas", [1, 2, 7])
@pytest.mark.parametrize("seconds", [1.0, 5.0, 9.0, 11.0])
async def test_scaling_meanwhile_is_followed(replicas, seconds):
    lab = await adopted()
    lab.release("v2")
    await lab.run(seconds)
    lab.scale(replicas)
    await lab.until_rest()
    assert lab.versions() == {"v2": replicas}
    lab.assert_given_back()


async def test_a_canary_that_never_gets_ready_is_refused_at_the_deadline():
    lab = await adopted()
    lab.release("v2", READY_AFTER_MS="-1")
    await lab.until_rest()
    assert lab.ready()["reason"] == "RolledBack"
    assert lab.status()["history"][-1]["maxWeight"] == 0
    lab.assert_given_back()


@pytest.mark.parametrize(("stage", "weight"), [(25, 60), (25, 100), (60, 100)])
@pytest.mark.parametrize("replicas", [1, 4])
async def test_what_somebody_raised_is_at_the_stages_weight_again_at_once(stage, weight, replicas):
    lab = await adopted(plan=PLAN)
    lab.scale(replicas)
    oracle = watch(lab)
    lab.release("v2")
    while lab.weight() < stage:
        await lab.run(0.1)
    await lab.run(1.5)  # by now the next stage's pods are ready, and could carry more
    assert lab.set_weight(weight)
    await lab.run(0.1)
    oracle.observed()
    oracle.check()
    assert lab.weight() == stage
    await lab.until_rest()
    assert lab.versions() == {"v2": replicas}
    oracle.check()
    lab.assert_given_back()


async def test_no_data_never_promotes():
    lab = await adopted()
    lab.metrics.mode = "Timeout"
    lab.release("v2")
    await lab.run(300)
    assert lab.weight() == 25
    lab.metrics.mode = "good"
    await lab.until_rest()
    assert lab.versions() == {"v2": 4}


async def test_an_immediate_strategy_goes_to_full_weight_at_once():
    lab = await adopted(plan={"strategy": "Immediate", "settle": "1s", "scaleDownDelay": "1s"})
    lab.release("v2")
    await lab.until_rest()
    assert lab.versions() == {"v2": 4}
    assert lab.status()["history"][-1]["outcome"] == "Promoted"


async def test_a_rolling_update_promotion_ends_complete():
    lab = await adopted(
        plan={
            "promotion": "RollingUpdate",
            "settle": "1s",
            "stages": [{"name": "half", "weight": 50, "hold": "2s"}],
        }
    )
    lab.release("v2")
    await lab.until_rest()
    assert lab.versions() == {"v2": 4}
    lab.assert_given_back()


@pytest.mark.parametrize("policies", ["hold+freeze", "hold"])
@pytest.mark.parametrize("following", ["v1", "v3"])
@pytest.mark.parametrize("steps", range(6))
async def test_a_newer_template_around_the_release_ends_with_that_template(
    policies, following, steps
):
    lab = Lab(policies=policies)
    await lab.run(3)
    lab.release("v2")
    for _ in range(400):
        if (lab.status().get("attempt") or {}).get("direction", {}).get("name") == "HandingOver":
            break
        await lab.run(0.05)
    for _ in range(steps):
        lab.kube.step()
    lab.release(following)
    await lab.until_rest()
    assert lab.versions() == {following: 4}
    lab.assert_given_back()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_set_that_was_taken_over_is_gone_after_its_deployment_was_made_anew(times):
    lab = Lab(policies="")
    await lab.run(3)
    lab.kube.user_patch(ROUTE, [{"op": "remove", "path": "/spec/rules/0"}])
    lab.release("v2")
    await lab.run(0.1)
    assert "Rollout/shop" in [owner for _, _, owner in lab.kube.sizes("default").values()]
    for _ in range(times):
        lab.kube.user_delete(TARGET)
        await lab.run(0.5)
        lab.kube.user_apply(deployment("v2", 2))
    lab.kube.user_apply(ROUTE_MANIFEST)
    await lab.until_rest()
    assert lab.versions() == {"v2": 2}
    lab.assert_given_back()


async def test_a_refused_write_is_tried_again_in_the_very_pass_that_was_asked_for():
    lab = await adopted()
    lab.release("v2")
    lab.kube.fail_next("patch", HTTPROUTE, ForbiddenError(403, "Forbidden", "x"), times=5)
    tries = 0
    while tries < 6:
        wake = await lab.operator.act()
        tries = sum(1 for one in lab.kube.requests if (one.verb, one.kind) == ("patch", HTTPROUTE))
        if tries:
            assert wake is not None
            lab.kube.advance(max(0.0, wake - lab.clock.now()))
            await lab.operator.act()
            after = [
                one for one in lab.kube.requests if (one.verb, one.kind) == ("patch", HTTPROUTE)
            ]
            assert len(after) > tries
            assert after[-1].time == lab.clock.now()
            tries = len(after)
        lab.kube.advance(0.05)
