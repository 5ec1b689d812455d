"""Which cluster is taken: never one that was not named."""

from __future__ import annotations

import sys

import pytest

from e2e.cluster import backend, namespace, session
from e2e.cluster.errors import BedError, MissingToolError, OutsideBedError
from e2e.cluster.existing import ExistingCluster


def test_auto_takes_kind_where_docker_answers(monkeypatch):
    monkeypatch.setattr(backend, "docker_answers", lambda: True)
    assert backend.choose({}) == "kind"
    assert backend.choose({"E2E_CLUSTER": "auto"}) == "kind"


def test_auto_takes_bare_where_there_is_no_docker_but_root(monkeypatch):
    monkeypatch.setattr(backend, "docker_answers", lambda: False)
    monkeypatch.setattr(namespace, "why_not", lambda: None)
    assert backend.choose({}) == "bare"


def test_auto_never_takes_an_ambient_kubeconfig(monkeypatch):
    monkeypatch.setattr(backend, "docker_answers", lambda: False)
    monkeypatch.setattr(namespace, "why_not", lambda: "the bare cluster needs root")
    with pytest.raises(MissingToolError, match="needs root"):
        backend.choose({"KUBECONFIG": "/ambient", "E2E_KUBECONFIG": "/k"})


def test_existing_needs_its_kubeconfig_by_name():
    with pytest.raises(MissingToolError, match="E2E_KUBECONFIG"):
        backend.choose({"E2E_CLUSTER": "existing", "KUBECONFIG": "/ambient"})
    assert backend.choose({"E2E_CLUSTER": "existing", "E2E_KUBECONFIG": "/k"}) == "existing"


def test_an_unknown_backend_is_refused_with_the_choices():
    with pytest.raises(MissingToolError, match="auto, existing, kind, bare"):
        backend.choose({"E2E_CLUSTER": "minikube"})


def test_existing_says_which_address_is_missing():
    cluster = ExistingCluster({"E2E_KUBECONFIG": "/k", "E2E_GATEWAY_URL": "http://10.0.0.1/"})
    assert cluster.gateway_url == "http://10.0.0.1"
    with pytest.raises(MissingToolError, match="E2E_PROMETHEUS_URL"):
        _ = cluster.prometheus_url


def test_existing_loads_images_with_the_callers_command(tmp_path):
    seen = tmp_path / "seen"
    code = f"import sys; open({str(seen)!r}, 'w').write(sys.argv[1])"
    command = f'{sys.executable} -c "{code}" {{tar}}'
    cluster = ExistingCluster({"E2E_KUBECONFIG": "/k", "E2E_LOAD_IMAGE": command})
    cluster.load_image(tmp_path / "image.tar")
    assert seen.read_text() == str(tmp_path / "image.tar")


def test_a_command_that_takes_too_long_is_an_exit_code():
    result = backend.run_with({"PATH": "/usr/bin:/bin"}, ["sleep", "5"], None, 0.05)
    assert result.returncode == 124


def test_nothing_is_attached_without_a_cluster(monkeypatch):
    for name in ("LEADSMAN_BED", "LEADSMAN_KIND", "LEADSMAN_EXISTING"):
        monkeypatch.delenv(name, raising=False)
    assert not session.attached()
    with pytest.raises(BedError, match="no cluster around this process"):
        session.attach()


def test_a_client_outside_the_test_network_is_refused(monkeypatch):
    monkeypatch.setattr(namespace, "inside", lambda: False)
    with pytest.raises(OutsideBedError, match="refused"):
        namespace.assert_inside()
