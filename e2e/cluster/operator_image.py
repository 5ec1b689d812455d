"""The operator's own image, from Debian's Python and the locked dependencies, without an engine.

Three layers with three lifetimes: Python out of Debian packages (changes with the distribution),
site-packages out of uv.lock (changes with a dependency), the operator's code (changes always, and
takes a second). Compiled files are hash-based, because a read-only root file system could not take
new ones and a fixed file time would make the usual ones stale.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from e2e.cluster import build
from e2e.cluster.catalog import Archive
from e2e.cluster.errors import BuildError, MissingToolError
from e2e.cluster.images import ImageSpec, write_image, write_tree_layer

OPERATOR = "leadsman.dev/operator:dev"
UV = "uv==0.9.8"
_NOT_NEEDED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/bash-completion",
    "usr/share/perl5",
    "usr/share/lintian",
    "usr/share/zoneinfo/right",
    "usr/share/zoneinfo/posix",
)


def _quiet(argv: list[str], cwd: Path | None = None) -> str:
    result = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise BuildError(f"`{' '.join(argv[:6])} ...` failed: {result.stderr.strip()[-1500:]}")
    return result.stdout


def uv_program() -> str:
    """uv: the machine's own, or fetched from PyPI."""
    beside = Path(sys.executable).parent / "uv"
    found = os.environ.get("UV") or (str(beside) if beside.exists() else shutil.which("uv"))
    if found:
        return found
    folder = build.once("uv", UV, lambda target: build.fetch_wheel(UV, target))
    program = next(folder.rglob("scripts/uv"))
    program.chmod(0o755)
    return str(program)


def _debian_packages() -> list[tuple[str, str]]:
    """(file name, URI) of python3 and all that it depends on, as if nothing were installed."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise MissingToolError("the operator's image is made of Debian packages: apt-get is needed")
    argv = ["apt-get", "-o", "Dir::State::status=/dev/null", "--no-install-recommends", "-y", "-qq"]
    argv += ["--print-uris", "install", "python3-minimal", "libpython3-stdlib", "ca-certificates"]
    try:
        told = _quiet(argv)
    except BuildError:
        _quiet(["apt-get", "update", "-q"])
        told = _quiet(argv)
    found = re.findall(r"^'([^']+)' (\S+\.deb) ", told, re.MULTILINE)
    # What only runs in maintainer scripts, none of which run here.
    skip = ("debconf", "cdebconf", "dpkg_", "perl-base", "tar_", "openssl_", "libcrypt-dev")
    return sorted((name, uri) for uri, name in found if not name.startswith(skip))


def python_layer() -> Path:
    """The folder with layer.tar (Debian's Python) and `version` (such as 3.11)."""
    packages = _debian_packages()

    def make(folder: Path) -> None:
        build.say("making the operator image's Python layer from Debian's packages ...")
        debs = folder / "debs"
        root = folder / "root"
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        debs.mkdir()
        names = [re.sub(r"_.*", "", name) for name, _ in packages]
        # Downloaded by apt as an unprivileged user where it can; the folder must let it.
        debs.chmod(0o777)
        _quiet(["apt-get", "download", "-q", *names], cwd=debs)
        for deb in sorted(debs.glob("*.deb")):
            _unpack(deb, root)
        for name in _NOT_NEEDED:
            shutil.rmtree(root / name, ignore_errors=True)
        (root / "tmp").mkdir(exist_ok=True)
        (root / "tmp").chmod(0o1777)
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc/passwd").write_text(
            "root:x:0:0:root:/root:/usr/sbin/nologin\n"
            "leadsman:x:65532:65532:leadsman:/:/usr/sbin/nologin\n"
        )
        (root / "etc/group").write_text("root:x:0:\nleadsman:x:65532:\n")
        version = (root / "usr/bin/python3").readlink().name.removeprefix("python")
        _compile(root / "usr/lib" / f"python{version}", version)
        write_tree_layer(folder / "layer.tar", [(root, "")], skip=())
        (folder / "version").write_text(version)
        shutil.rmtree(root)
        shutil.rmtree(debs)

    return build.once("python-layer", build.digest(["1", *(n for n, _ in packages)]), make)


def _unpack(deb: Path, root: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as source:
        argv = ["tar", "-x", "--keep-directory-symlink", "-C", str(root)]
        done = subprocess.run(argv, stdin=source.stdout, capture_output=True, check=False)
    if done.returncode != 0 or source.returncode != 0:
        raise BuildError(f"cannot unpack {deb.name}: {done.stderr.decode()[-400:]}")


def _compile(folder: Path, version: str) -> None:
    """Compiles a tree for `version`, when this Python is of that version; otherwise leaves it."""
    if f"{sys.version_info[0]}.{sys.version_info[1]}" != version:
        return
    compileall.compile_dir(
        folder,
        quiet=2,
        stripdir=str(folder),
        # The Kubernetes client's thousand generated models are never imported.
        rx=re.compile(r"/kubernetes/.*(/models/|/test/)"),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def packages_layer(checkout: Path, version: str) -> Path:
    """layer.tar with the locked run-time dependencies at /packages."""
    lock = (checkout / "uv.lock").read_text()
    project = (checkout / "pyproject.toml").read_text()
    dependencies = project.partition("dependencies = [")[2].partition("]")[0]

    def make(folder: Path) -> None:
        build.say("making the operator image's dependency layer from uv.lock ...")
        uv = uv_program()
        export = [uv, "export", "--frozen", "--no-dev", "--no-emit-project", "--quiet"]
        (folder / "requirements.txt").write_text(
            _quiet([*export, "--format", "requirements-txt"], cwd=checkout)
        )
        target = folder / "packages"
        argv = [uv, "pip", "install", "--quiet", "--target", str(target), "--no-deps"]
        argv += ["--python", sys.executable, "--python-version", version]
        argv += [
            "--only-binary",
            ":all:",
            "--require-hashes",
            "-r",
            str(folder / "requirements.txt"),
        ]
        _quiet(argv, cwd=checkout)
        for cache in target.rglob("__pycache__"):
            shutil.rmtree(cache)
        _compile(target, version)
        write_tree_layer(folder / "layer.tar", [(target, "packages")], skip=())
        shutil.rmtree(target)

    key = build.digest(["2", version, build.digest([lock]), dependencies])
    return build.once("packages-layer", key, make) / "layer.tar"


def lower_layers(checkout: Path) -> tuple[Path, Path]:
    """The folder of Debian's Python, and layer.tar of the dependencies.

    Made from registries, so this is called before a cluster's network namespace is entered, where
    no registry can be reached.
    """
    base = python_layer()
    return base, packages_layer(checkout, (base / "version").read_text())


def operator_image(checkout: Path) -> Path:
    """The archive of the operator's image (OPERATOR) with the code of `checkout` as it is now.

    Raises BuildError or MissingToolError. Takes two seconds once the lower layers are cached.
    """
    base, packages = lower_layers(checkout)
    target = build.cache_root() / "images" / f"operator-{build.digest([str(checkout)])}.tar"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        stage = Path(temporary)
        code = stage / "app"
        shutil.copytree(
            checkout / "operator" / "leadsman",
            code / "leadsman",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        _compile(code, (base / "version").read_text())
        write_tree_layer(stage / "layer.tar", [(code, "app")], skip=())
        spec = ImageSpec(
            name=OPERATOR,
            entrypoint=("/usr/bin/python3", "-m", "leadsman.shell.main"),
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": "/app:/packages",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUNBUFFERED": "1",
                "LANG": "C.UTF-8",
            },
            workdir="/app",
        )
        draft = stage / "image.tar"
        write_image(draft, spec, [base / "layer.tar", packages, stage / "layer.tar"])
        draft.rename(target)
    return target


def operator_archive(checkout: Path) -> Archive:
    """`operator_image` with the name that pods use."""
    return Archive(OPERATOR, operator_image(checkout))
