"""The API against a real API server: what is refused, what is accepted, what is kept.

The schema's limits, defaults and CEL rules only mean something where they are enforced, so every
wrong manifest, every example and the largest Rollout go through the API server itself. Nothing is
stored except the one Rollout whose status is tried, in a namespace that the suite removes.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.backend import Backend
from e2e.harness.app import Place
from leadsman.api.kinds import BY_NAME, parse
from tests.manifests.full import full_rollout
from tests.manifests.refused import BASES, Case, cases

ROOT = Path(__file__).parents[1]
NAMESPACE = f"api-suite-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
"""One for each worker: workers come and go at different times."""
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


@pytest.fixture(scope="session")
def api(place: Place) -> Iterator[Backend]:
    """The cluster with the CRDs of this checkout, and a namespace for what is stored."""
    cluster = place.cluster
    cluster.run(["kubectl", "create", "namespace", NAMESPACE])
    yield cluster
    cluster.run(["kubectl", "delete", "namespace", NAMESPACE, "--wait=false"])


def dry_run(
    cluster: Backend, manifest: Mapping[str, Any], *more: str
) -> subprocess.CompletedProcess[str]:
    """Let the API server look at a manifest without storing it."""
    return cluster.run(
        ["kubectl", "create", "-n", NAMESPACE, "--dry-run=server", *more, "-f", "-"],
        stdin=json.dumps(manifest),
    )


@pytest.mark.parametrize("kind", BASES)
def test_the_manifests_that_the_wrong_ones_come_from_are_accepted(api, kind):
    answer = dry_run(api, BASES[kind])
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_a_wrong_manifest_is_refused_with_the_field_and_what_is_allowed(api, case: Case):
    answer = dry_run(api, case.manifest)
    assert answer.returncode != 0
    for words in case.says:
        assert words in answer.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_applies_unchanged(api, path):
    answer = api.run(["kubectl", "apply", "-n", NAMESPACE, "--dry-run=server", "-f", str(path)])
    assert answer.returncode == 0, answer.stderr
    # The operator's installation has made the source of that name before, without kubectl apply.
    warnings = [line for line in answer.stderr.splitlines() if "Warning" in line]
    assert [line for line in warnings if "last-applied-configuration" not in line] == []


def ours() -> list[Any]:
    return [
        pytest.param(body, id=f"{path.name}-{body['kind']}-{body['metadata']['name']}")
        for path in EXAMPLES
        for body in yaml.safe_load_all(path.read_text())
        if body["kind"] in BY_NAME
    ]


@pytest.mark.parametrize("body", ours())
def test_the_server_sets_the_same_defaults_as_the_models(api, body):
    manifest = {**body, "metadata": {"name": "defaults"}}
    answer = dry_run(api, manifest, "-o", "json")
    assert json.loads(answer.stdout)["spec"] == parse(manifest).as_dict()["spec"]


def test_an_unknown_field_is_named(api):
    body = BASES["Rollout"]
    answer = dry_run(api, {**body, "spec": {**body["spec"], "replicas": 3}})
    assert answer.returncode != 0
    assert 'unknown field "spec.replicas"' in answer.stderr


def test_the_largest_rollout_is_stored_and_nothing_of_its_status_is_lost(api):
    body = full_rollout()
    # Server-side: a client-side apply would keep a second copy of the manifest in an annotation.
    manifest = json.dumps({key: value for key, value in body.items() if key != "status"})
    answer = api.run(
        ["kubectl", "apply", "--server-side", "--force-conflicts", "-n", NAMESPACE, "-f", "-"],
        stdin=manifest,
    )
    assert answer.returncode == 0, answer.stderr
    patch = json.dumps({"status": body["status"]})
    answer = api.run(
        [
            *("kubectl", "patch", "-n", NAMESPACE, "rollouts.leadsman.dev", "full"),
            *("--subresource=status", "--type=merge", "--patch-file=/dev/stdin", "-o", "json"),
        ],
        stdin=patch,
    )
    assert answer.returncode == 0, answer.stderr
    stored = json.loads(answer.stdout)
    assert stored["status"] == body["status"]
    assert len(json.dumps(stored)) < 256 * 1024


def test_the_columns_show_what_the_status_says(api):
    # Where the operator runs it may write its own status in between: then it is set once more.
    rows = []
    for _ in range(5):
        test_the_largest_rollout_is_stored_and_nothing_of_its_status_is_lost(api)
        answer = api.run(["kubectl", "get", "lro", "-n", NAMESPACE, "full"])
        header, row = answer.stdout.splitlines()
        rows.append(" ".join(row.split()[:-1]))
        if rows[-1].endswith("v1.8.2"):
            break
    assert " ".join(header.split()) == "NAME READY STATE STAGE WEIGHT GUARDS NEXT REVISION AGE"
    assert rows[-1] == "full True Progressing 3/6 25 4/4 14:05Z v1.8.2"


def test_all_kinds_are_found_by_their_category_and_short_names(api):
    answer = api.run(["kubectl", "api-resources", "--categories=leadsman", "-o", "name"])
    assert sorted(answer.stdout.split()) == sorted(kind.crd_name for kind in BY_NAME.values())
    for kind in BY_NAME.values():
        answer = api.run(["kubectl", "get", kind.short, "-n", NAMESPACE])
        assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("kind", BY_NAME.values(), ids=lambda kind: kind.kind)
def test_explain_describes_every_kind(api, kind):
    answer = api.run(
        ["kubectl", "explain", f"{kind.plural}.spec", "--api-version=leadsman.dev/v1alpha1"]
    )
    assert answer.returncode == 0, answer.stderr
    assert "<no description>" not in answer.stdout


def test_the_target_of_a_rollout_cannot_be_changed(api):
    """A Rollout that moved on would leave its former target held for ever."""
    name = "immutable-target"
    manifest = json.dumps(
        {
            "apiVersion": "leadsman.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "targetRef": {"kind": "Deployment", "name": "one"},
                "traffic": {"gatewayAPI": {"routeRefs": [{"name": "one"}]}},
                "plan": {"stages": [{"name": "full", "weight": 100}]},
                "unguarded": "only the refusal is tried",
            },
        }
    )
    try:
        made = api.run(["kubectl", "create", "-f", "-"], stdin=manifest)
        assert made.returncode == 0, made.stderr
        patch = json.dumps({"spec": {"targetRef": {"name": "two"}}})
        moved = api.run(
            ["kubectl", "-n", NAMESPACE, "patch", "lro", name, "--type=merge", "-p", patch]
        )
        assert moved.returncode != 0
        assert "spec.targetRef must not change" in moved.stderr
    finally:
        api.run(["kubectl", "-n", NAMESPACE, "delete", "lro", name, "--wait=false"])
