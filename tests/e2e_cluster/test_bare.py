"""The bare bed's configuration, cache and commands, without starting any of it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from e2e.cluster import beds, build, manifests, namespace, programs
from e2e.cluster.errors import BedError, BootError, BuildError
from e2e.cluster.load import Load, parse_report


@pytest.fixture
def layout(tmp_path) -> programs.Layout:
    return programs.Layout(
        "t", tmp_path / "state", tmp_path / "work", Path("/kube"), Path("/rt"), Path("/sbin/runc")
    )


def test_every_program_has_a_user_of_its_own():
    rows = list(csv.reader(io.StringIO(programs.token_file())))
    users = [row[1] for row in rows]
    assert len(set(users)) == len(users)
    assert {"admin", "suite", "bench", "loadgen"} <= set(users)


def test_a_users_kubeconfig_carries_that_users_token(layout):
    tokens = {row[1]: row[0] for row in csv.reader(io.StringIO(programs.token_file()))}
    document = json.loads(programs.kubeconfig(layout, "bench"))
    assert document["users"][0]["user"]["token"] == tokens["bench"]


def test_the_api_server_checks_rights_and_writes_an_audit_log(layout):
    argv = programs.apiserver(layout)
    assert "--authorization-mode=Node,RBAC" in argv
    assert f"--audit-log-path={layout.audit_log}" in argv
    assert json.loads(programs.audit_policy())["rules"] == [{"level": "Metadata"}]


def test_no_controller_that_deployments_need_is_switched_off(layout):
    (controllers,) = (
        a for a in programs.controller_manager(layout) if a.startswith("--controllers=")
    )
    listed = controllers.removeprefix("--controllers=").split(",")
    assert listed[0] == "*"
    assert {"-node-ipam-controller", "-cloud-node-lifecycle-controller"} <= set(listed)
    assert "-node-lifecycle-controller" not in listed


def test_what_survives_a_bed_is_outside_its_memory_disk(layout):
    for path in (layout.audit_log, layout.kubeconfig("admin")):
        assert path.is_relative_to(layout.state)
        assert not path.is_relative_to(layout.work)


def test_commands_enter_all_three_namespaces_and_keep_the_folder():
    argv = namespace.nsenter_argv(42, ["kubectl", "get", "pods"], "/here")
    assert argv[:3] == ["nsenter", "-t", "42"]
    assert {"-n", "-m", "-p", "--wdns=/here"} <= set(argv)
    assert argv[-3:] == ["kubectl", "get", "pods"]


def test_a_bed_dies_with_its_first_process():
    argv = namespace.unshare_argv(["true"])
    assert {"-n", "-m", "-p", "-f", "--kill-child", "--mount-proc"} <= set(argv)


@pytest.mark.parametrize("name", ["", "../x", "A", "a_b", "-a", "x" * 40])
def test_a_bed_name_is_a_plain_word(name):
    with pytest.raises(BedError, match="--name"):
        beds.folder(name)


def test_a_bed_that_is_not_up_is_named_in_the_message(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADSMAN_STATE", str(tmp_path))
    with pytest.raises(BedError, match="no bed named 'ghost' is up"):
        beds.info("ghost")
    beds.down("ghost")


def test_a_bed_that_is_up_is_not_started_over_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADSMAN_STATE", str(tmp_path))
    monkeypatch.setattr(beds, "first_process", lambda _name: 1)
    (beds.folder("busy")).mkdir(parents=True)
    (beds.folder("busy") / "bed.json").write_text("kept")
    with (
        pytest.raises(BootError, match="is up already"),
        beds._reserved("busy"),
    ):
        pytest.fail("the running bed's folder would be gone by now")
    assert (beds.folder("busy") / "bed.json").read_text() == "kept"
    assert beds.names() == ["busy"]


def test_a_build_appears_only_when_complete(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADSMAN_CACHE", str(tmp_path))

    def fails(folder: Path) -> None:
        (folder / "half").write_text("")
        raise BuildError("stop")

    with pytest.raises(BuildError):
        build.once("part", "key", fails)
    assert not (tmp_path / "part" / "key").exists()
    made = build.once("part", "key", lambda folder: (folder / "whole").touch())
    assert [p.name for p in made.iterdir()] == ["whole"]
    assert build.once("part", "key", fails) == made


def test_keys_do_not_depend_on_how_texts_are_split():
    assert build.digest(["ab", "c"]) != build.digest(["a", "bc"])


def test_a_failed_build_shows_its_last_lines(tmp_path):
    code = "print('reason is here'); raise SystemExit(3)"
    with pytest.raises(BuildError, match="reason is here"):
        build.run_logged([sys.executable, "-c", code], cwd=tmp_path, env={}, about="part")


def test_manifests_pull_nothing_and_name_only_our_images():
    for file in manifests.FOLDER.glob("*.yaml"):
        for document in yaml.safe_load_all(file.read_text()):
            if document["kind"] != "Deployment":
                continue
            for container in document["spec"]["template"]["spec"]["containers"]:
                assert container["imagePullPolicy"] == "IfNotPresent"
                assert container["image"].startswith("leadsman.dev/")


def test_the_listeners_port_is_an_entry_point_of_traefik():
    gateway = (manifests.FOLDER / "10-gateway.yaml").read_text()
    objects = yaml.safe_load_all((manifests.FOLDER / "30-gateway-objects.yaml").read_text())
    (listener,) = next(o for o in objects if o["kind"] == "Gateway")["spec"]["listeners"]
    assert f"--entryPoints.web.address=:{listener['port']}\n" in gateway
    assert listener["allowedRoutes"] == {"namespaces": {"from": "All"}}


def test_a_load_job_prints_its_report_and_is_never_started_again():
    job = Load("l", "ns", "shop.example.com", rps=50, seconds=3, grpc=True, keepalive=False).job()
    spec = job["spec"]["template"]["spec"]
    assert job["spec"]["backoffLimit"] == 0
    assert spec["restartPolicy"] == "Never"
    args = spec["containers"][0]["args"]
    assert {"--rps=50", "--duration=3s", "--host=shop.example.com", "--grpc"} <= set(args)
    assert "--keepalive=false" in args


def test_the_report_is_found_between_lines_of_progress():
    assert parse_report('progress {"ok": 1}\n{"planned": 2}\n') == {"planned": 2}
    with pytest.raises(BedError, match="refused: outside"):
        parse_report("loadgen: refused: outside\n")


def _answers(*codes):
    left = list(codes)

    def run(argv):
        return subprocess.CompletedProcess(argv, left.pop(0) if left else 1, "", "not yet")

    return run


def test_waiting_for_the_infrastructure_asks_again_until_it_is_there():
    manifests.wait(_answers(1, 1, 0), ["gateway/gateway"], 60)


def test_waiting_for_the_infrastructure_ends_with_what_kubectl_said():
    with pytest.raises(BootError, match="not yet"):
        manifests.wait(_answers(), ["gateway/gateway"], 0)


def test_a_program_that_has_ended_ends_the_wait_at_once():
    def run(argv):
        raise BootError("kubelet ended with 1")

    with pytest.raises(BootError, match="kubelet ended"):
        manifests.wait(run, ["gateway/gateway"], 3600)


def test_no_client_is_given_a_port_that_a_program_of_the_node_listens_on(monkeypatch):
    values = {}
    monkeypatch.setattr(namespace, "_do", lambda *argv: None)
    monkeypatch.setattr(namespace, "_sysctl", values.__setitem__)
    namespace.make_network()
    lowest = int(values["net/ipv4/ip_local_port_range"].split()[0])
    kubelet_proxy_controllers_scheduler = (10248, 10250, 10249, 10256, 10257, 10259)
    gateway = (8000, 8082)
    assert lowest > max(*kubelet_proxy_controllers_scheduler, *gateway, programs.API_PORT)
