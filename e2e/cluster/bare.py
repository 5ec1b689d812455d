"""The bare backend: a real one-node Kubernetes cluster as plain processes, inside the namespace.

`up` must be called inside (namespace.unshare_argv brings one there); it returns when the gateway
answers. Nothing has to be torn down one by one: the namespace's first process takes everything
with it, and `shares.clean` removes the empty folders that stay behind.
"""

from __future__ import annotations

import http.client
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from e2e.cluster import build, catalog, manifests, namespace, operator_image, programs, shares
from e2e.cluster.backend import Kind, run_with
from e2e.cluster.errors import BootError
from e2e.cluster.programs import Layout

GATEWAY_PORT = 8000
PROMETHEUS_PORT = 30090
ROOT = build.HERE.parent.parent
DEBIAN = {"runc": "runc", "nft": "nftables", "conntrack": "conntrack", "ip": "iproute2"}


def debian_tools() -> None:
    """Installs what the node needs from Debian's packages, if it is missing."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [pkg for tool, pkg in DEBIAN.items() if shutil.which(tool, path=path) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise BootError(f"missing, and no apt-get to install them: {', '.join(missing)}")
    build.say(f"installing {', '.join(missing)} from Debian's packages ...")
    for argv in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing],
    ):
        result = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        if result.returncode != 0:
            raise BootError(f"{' '.join(argv[:2])} failed: {result.stderr.strip()[-600:]}")


def prepare() -> None:
    """Builds and fetches everything; needs the registries, so it runs outside the namespace."""
    debian_tools()
    build.kube()
    build.build_go(build.RUNTIME)
    build.gateway_crds()
    catalog.infrastructure()
    operator_image.lower_layers(ROOT)


class BareCluster:
    """A bed: the cluster's processes, its files, its addresses."""

    name: Kind = "bare"

    def __init__(self, bed: str, state: Path) -> None:
        runc = shutil.which("runc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        self.layout = Layout(
            name=bed,
            state=state,
            work=state / "work",
            kube=build.kube(),
            runtime=build.build_go(build.RUNTIME),
            runc=Path(runc or "/usr/sbin/runc"),
        )
        self.apps = build.build_go(build.DEMO_APPS)
        self.kubeconfig = self.layout.kubeconfig("admin")
        self.audit_log = self.layout.audit_log
        self.started: dict[str, subprocess.Popen[bytes]] = {}
        self.timings: dict[str, float] = {}

    @property
    def gateway_url(self) -> str:
        """The gateway's address on the node."""
        return f"http://{namespace.NODE_ADDRESS}:{GATEWAY_PORT}"

    @property
    def prometheus_url(self) -> str:
        """Prometheus' node port."""
        return f"http://{namespace.NODE_ADDRESS}:{PROMETHEUS_PORT}"

    def env(self, user: str = "admin") -> dict[str, str]:
        """The environment for commands inside the bed, as one of programs.USERS."""
        paths = [self.layout.kube, self.layout.runtime, self.apps]
        env = namespace.environment(os.environ, paths)
        env["KUBECONFIG"] = str(self.layout.kubeconfig(user))
        # kubectl's discovery cache is kept with the bed: another bed's would be of another cluster.
        env["KUBECACHEDIR"] = str(self.layout.work / "kube-cache")
        env["CONTAINERD_ADDRESS"] = programs.CONTAINERD_SOCKET
        return env

    def run(
        self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command with this cluster's KUBECONFIG and PATH."""
        namespace.assert_inside()
        return run_with(self.env(), argv, stdin, timeout)

    def load_image(self, tar: Path) -> None:
        """Imports an image archive into the node's containerd."""
        result = self.run(programs.import_image(self.layout, tar))
        if result.returncode != 0:
            raise BootError(f"cannot import {tar}: {result.stderr.strip()[-600:]}")

    def up(self) -> None:
        """Boots the cluster; raises BootError naming the log of the program that failed."""
        begun = time.monotonic()

        def mark(step: str) -> None:
            self.timings[step] = round(time.monotonic() - begun, 2)

        layout = self.layout
        namespace.make_network()
        namespace.make_mounts(layout.work)
        namespace.use_cluster_names(layout.work)
        shares.divide()
        self._write_configuration()
        with ThreadPoolExecutor(8) as pool:
            self._start("etcd", programs.etcd(layout))
            self._start("containerd", programs.containerd(layout))
            images = [pool.submit(self._import, a.tar) for a in catalog.infrastructure()]
            self._start("kube-apiserver", programs.apiserver(layout))
            self._until(self._api_ready, "kube-apiserver", 60)
            mark("api")
            self._start("kube-controller-manager", programs.controller_manager(layout))
            self._start("kube-scheduler", programs.scheduler(layout))
            self._start("kube-proxy", programs.proxy(layout))
            self._start("cluster-dns", programs.dns(layout))
            self._start("kubelet", programs.kubelet(layout))
            self._finish(images)
            mark("images")
            manifests.install(self._run_alive, build.gateway_crds())
            mark("infrastructure")
        self._until(self._gateway_answers, "kube-proxy", 30)
        self._until(self._prometheus_answers, "kube-proxy", 30)
        mark("ready")

    def down(self) -> None:
        """Stops the programs; the namespace's end takes the pods, mounts and addresses."""
        left = "\n".join(containers(Path("/")))
        (self.layout.state / "containers").write_text(left)
        for process in reversed(list(self.started.values())):
            process.kill()
        for process in self.started.values():
            process.wait()

    def _write_configuration(self) -> None:
        layout = self.layout
        (layout.state / "logs").mkdir(parents=True, exist_ok=True)
        layout.audit_log.unlink(missing_ok=True)
        for path, text in programs.configuration(layout, catalog.PAUSE).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        made = subprocess.run(programs.keys(layout), capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise BootError(f"cannot make the cluster's keys: {made.stderr.strip()}")
        shutil.copy(layout.config / "ca.crt", layout.state / "ca.crt")

    def _log(self, name: str) -> Path:
        return self.layout.state / "logs" / f"{name}.log"

    def _start(self, name: str, argv: Sequence[str]) -> None:
        with self._log(name).open("wb") as log:
            self.started[name] = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.env(), **programs.RARELY_COLLECTED},
                cwd=self.layout.work,
                start_new_session=True,
            )
        shares.join(self.started[name].pid)

    def _until(self, met: Callable[[], bool], blamed: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not met():
            self._alive()
            if time.monotonic() > until:
                raise BootError(f"not ready after {seconds:.0f} s:\n{self._tail(blamed)}")
            time.sleep(0.05)

    def _alive(self) -> None:
        for name, process in self.started.items():
            if process.poll() is not None:
                raise BootError(f"{name} ended with {process.returncode}:\n{self._tail(name)}")

    def _run_alive(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self._alive()
        return self.run(argv)

    def _tail(self, name: str) -> str:
        path = self._log(name)
        lines = path.read_text(errors="replace").splitlines()[-12:]
        return "\n".join([*lines, f"(from {path})"])

    def _import(self, tar: Path) -> None:
        socket = Path(programs.CONTAINERD_SOCKET)
        until = time.monotonic() + 30
        while True:
            if socket.exists():
                try:
                    self.load_image(tar)
                except BootError:
                    if time.monotonic() > until:
                        raise
                else:
                    return
            elif time.monotonic() > until:
                raise BootError(f"containerd does not listen:\n{self._tail('containerd')}")
            time.sleep(0.05)

    @staticmethod
    def _finish(futures: Sequence[Future[None]]) -> None:
        for future in futures:
            future.result()

    def _api_ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.layout.state / "ca.crt"))
        connection = http.client.HTTPSConnection(
            namespace.NODE_ADDRESS, programs.API_PORT, context=context, timeout=2
        )
        try:
            connection.request("GET", "/readyz", headers={"Authorization": "Bearer admin-token"})
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _gateway_answers(self) -> bool:
        return _answers(namespace.NODE_ADDRESS, GATEWAY_PORT, "/") == 404

    def _prometheus_answers(self) -> bool:
        return _answers(namespace.NODE_ADDRESS, PROMETHEUS_PORT, "/-/ready") == 200


def _answers(host: str, port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def containers(root: Path) -> list[str]:
    """The ids of all containers of the bed whose file system is seen at `root`."""
    tasks = root / "run/containerd/io.containerd.runtime.v2.task/k8s.io"
    try:
        return sorted(path.name for path in tasks.iterdir())
    except OSError:
        return []
