"""The network of the bare cluster: one set of namespaces that no packet can leave.

All of it (API server, kubelet, pods, clients, load) runs below one `unshare`; its first process is
a small init that reaps, and killing that one process removes every process, mount and address.
The network has no link to the machine's: clients assert by the marker interface that they are
inside, because outside the same addresses may be somebody else's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from e2e.cluster.errors import MissingToolError, OutsideBedError

MARKER = "leadsman0"
NODE_ADDRESS = "10.78.0.1"
NODE_NETWORK = "10.78.0.0/24"
POD_NETWORK = "10.78.64.0/18"
SERVICE_NETWORK = "10.78.128.0/18"
KUBERNETES_SERVICE = "10.78.128.1"

# What kubelet would otherwise set on the whole machine; it writes only where the value differs.
_KERNEL_VALUES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def why_not() -> str | None:
    """Why the bare cluster cannot run here, in a sentence; None when it can."""
    if not sys.platform.startswith("linux"):
        return "the bare cluster needs Linux"
    if os.geteuid() != 0:
        return "the bare cluster needs root (network and mount namespaces, containers)"
    for tool in ("unshare", "nsenter", "setpriv"):
        if shutil.which(tool) is None:
            return f"the bare cluster needs `{tool}` (util-linux)"
    probe = subprocess.run(
        ["unshare", "-n", "-m", "-p", "-f", "true"], capture_output=True, check=False
    )
    if probe.returncode != 0:
        return "this machine does not allow new namespaces (`unshare -n -m -p -f true` fails)"
    return None


def unshare_argv(argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` below an init in namespaces of its own."""
    init = [sys.executable, "-m", "e2e.cluster", "_init", "--"]
    flags = ["-n", "-m", "-p", "-f", "--kill-child", "--mount-proc"]
    return ["unshare", *flags, *init, *argv]


def nsenter_argv(pid: int, argv: Sequence[str], cwd: str) -> list[str]:
    """The command that runs `argv` inside the namespaces of process `pid`."""
    return ["nsenter", "-t", str(pid), "-n", "-m", "-p", f"--wdns={cwd}", "--", *argv]


def inside() -> bool:
    """Whether this process is on the test network (the marker interface is there)."""
    try:
        lines = Path("/proc/net/dev").read_text().splitlines()
    except OSError:
        return False
    return any(line.strip().startswith(f"{MARKER}:") for line in lines)


def assert_inside() -> None:
    """Raises OutsideBedError unless this process is on the test network."""
    if not inside():
        raise OutsideBedError(
            "refused: this process is not inside the test network. "
            "Start it with `python -m e2e.cluster exec -- ...` or `run -- ...`."
        )


def init(argv: Sequence[str]) -> int:
    """Runs `argv` as the child of this process, reaps all others; its exit code.

    As process 1 of its namespace it inherits every orphan (containerd's shims leave theirs to it).
    """
    child = os.fork()
    if child == 0:
        try:
            os.execvp(argv[0], list(argv))
        except OSError as error:
            print(f"{argv[0]}: {error}", file=sys.stderr)
        finally:
            os._exit(127)

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _do(*argv: str) -> None:
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise MissingToolError(f"`{' '.join(argv)}` failed: {result.stderr.strip()}")


def _sysctl(name: str, value: str) -> None:
    path = Path("/proc/sys") / name
    if path.exists():
        path.write_text(value)


def make_network() -> None:
    """Gives the new namespace its node address, the marker interface and a default route."""
    _do("ip", "link", "set", "lo", "up")
    # A bridge, because some kernels have no dummy link type.
    _do("ip", "link", "add", MARKER, "type", "bridge")
    _do("ip", "addr", "add", f"{NODE_ADDRESS}/24", "dev", MARKER)
    _do("ip", "link", "set", MARKER, "up")
    # kubelet and etcd want a default route; this one leads nowhere.
    _do("ip", "route", "add", "default", "via", "10.78.0.254", "dev", MARKER)
    _sysctl("net/ipv4/ip_forward", "1")
    _sysctl("net/bridge/bridge-nf-call-iptables", "1")
    # Load generators open many short connections; these are this namespace's own values. The range
    # lies above every port that a program of the node listens on: a client that had got one of
    # them (10250, say) kept the kubelet from starting.
    _sysctl("net/ipv4/ip_local_port_range", "11000 65000")
    _sysctl("net/core/somaxconn", "4096")


def make_mounts(work: Path) -> None:
    """Hides the machine's run-time state and gives the cluster a memory disk at `work`."""
    _do("mount", "--make-rprivate", "/")
    work.mkdir(parents=True, exist_ok=True)
    for target in ("/run", "/var/log", str(work)):
        _do("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", target)
    Path("/run/lock").mkdir(exist_ok=True)
    values = work / "kernel-values"
    values.mkdir()
    for name, value in _KERNEL_VALUES.items():
        real = Path("/proc/sys") / name
        if real.exists():
            shown = values / name.replace("/", "_")
            shown.write_text(f"{value}\n")
            _do("mount", "--bind", str(shown), str(real))


def use_cluster_names(work: Path) -> None:
    """Makes commands inside the bed resolve the cluster's names, as a pod does."""
    own = work / "resolv.conf"
    search = "default.svc.cluster.local svc.cluster.local cluster.local"
    own.write_text(f"nameserver {NODE_ADDRESS}\nsearch {search}\noptions ndots:5\n")
    real = Path("/etc/resolv.conf").resolve()
    if real.exists():
        _do("mount", "--bind", str(own), str(real))


def environment(base: Mapping[str, str], paths: Sequence[Path]) -> dict[str, str]:
    """`base` with `paths` first on PATH and without proxies, which nothing inside could reach."""
    env = {k: v for k, v in base.items() if k.lower() not in {"http_proxy", "https_proxy"}}
    env["PATH"] = ":".join([*(str(p) for p in paths), base.get("PATH", "/usr/bin:/bin")])
    return env
