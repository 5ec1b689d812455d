"""What is said to kind: all of it that a machine without docker can check."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.cluster.kind import (
    KindCluster,
    KindOptions,
    config,
    create_argv,
    delete_argv,
    kind_program,
    load_argv,
)

OPTIONS = KindOptions("leadsman-t", "/opt/kind", gateway_port=18000, prometheus_port=19090)


def test_ports_are_published_on_loopback_only():
    (node,) = json.loads(config(OPTIONS))["nodes"]
    assert node["role"] == "control-plane"
    assert {m["listenAddress"] for m in node["extraPortMappings"]} == {"127.0.0.1"}
    assert {m["containerPort"]: m["hostPort"] for m in node["extraPortMappings"]} == {
        8000: 18000,
        30090: 19090,
    }


def test_the_node_image_is_kinds_own_unless_the_caller_names_one():
    assert "image" not in json.loads(config(OPTIONS))["nodes"][0]
    named = KindOptions("n", "kind", 1, 2, node_image="example/node:v1.36.3")
    assert json.loads(config(named))["nodes"][0]["image"] == "example/node:v1.36.3"


def test_the_document_is_kinds_v1alpha4_cluster():
    document = json.loads(config(OPTIONS))
    assert document["kind"] == "Cluster"
    assert document["apiVersion"] == "kind.x-k8s.io/v1alpha4"
    assert document["name"] == "leadsman-t"


def test_the_users_own_kubeconfig_is_never_written():
    for argv in (
        create_argv(OPTIONS, Path("/c.json"), Path("/state/kubeconfig")),
        delete_argv(OPTIONS, Path("/state/kubeconfig")),
    ):
        assert argv[argv.index("--kubeconfig") + 1] == "/state/kubeconfig"


def test_commands_are_kinds_own():
    create = create_argv(OPTIONS, Path("/c.json"), Path("/k"))
    assert create[:5] == ["/opt/kind", "create", "cluster", "--name", "leadsman-t"]
    assert create[create.index("--config") + 1] == "/c.json"
    assert load_argv(OPTIONS, Path("/i.tar")) == [
        "/opt/kind", "load", "image-archive", "/i.tar", "--name", "leadsman-t",
    ]  # fmt: skip
    assert delete_argv(OPTIONS, Path("/k"))[:5] == [
        "/opt/kind", "delete", "cluster", "--name", "leadsman-t",
    ]  # fmt: skip


def test_the_caller_may_name_the_kind_binary():
    assert kind_program({"KIND": "/somewhere/kind"}) == "/somewhere/kind"


def _fake_kind(folder: Path) -> Path:
    program = folder / "kind"
    program.write_text('#!/bin/sh\necho "$@" >> "$(dirname "$0")/calls"\n')
    program.chmod(0o755)
    return program


def test_a_cluster_can_be_attached_to_by_another_process(tmp_path):
    options = KindOptions("t", str(_fake_kind(tmp_path)), 18000, 19090)
    (tmp_path / "kind.json").write_text(json.dumps({**vars_of(options)}))
    cluster = KindCluster.attach(tmp_path)
    assert cluster.gateway_url == "http://127.0.0.1:18000"
    assert cluster.prometheus_url == "http://127.0.0.1:19090"
    cluster.load_image(Path("/some/image.tar"))
    cluster.down()
    assert (tmp_path / "calls").read_text().splitlines() == [
        "load image-archive /some/image.tar --name t",
        f"delete cluster --name t --kubeconfig {tmp_path}/kubeconfig",
    ]


def vars_of(options: KindOptions) -> dict[str, object]:
    return {name: getattr(options, name) for name in KindOptions.__dataclass_fields__}
