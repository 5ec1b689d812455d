"""The images that the test cluster runs, each as an archive in the cache.

The programs are static, so an image is one file and, where a program calls out, the machine's root
certificates are not needed either: nothing in the bed speaks to the world outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import build
from e2e.cluster.images import ImageSpec, write_image, write_layer

PAUSE = "leadsman.dev/pause:1"
DEMO = "leadsman.dev/demo:1"
LOADGEN = "leadsman.dev/loadgen:1"
TRAEFIK = "leadsman.dev/traefik:3.7"
PROMETHEUS = "leadsman.dev/prometheus:3.13"

_PASSWD = b"root:x:0:0:root:/:/nologin\nnonroot:x:65532:65532:nonroot:/:/nologin\n"


@dataclass(frozen=True, slots=True)
class Archive:
    """One image: the name that pods use, and the tar that holds it."""

    name: str
    tar: Path


def program_image(name: str, program: Path) -> Archive:
    """An image of one static program at /PROGRAM, made once for each build of the program."""
    inside = f"/{program.name}"

    def make(folder: Path) -> None:
        layer = folder / "layer.tar"
        files: Mapping[str, Path | bytes] = {inside: program, "/etc/passwd": _PASSWD}
        write_layer(layer, files)
        write_image(folder / "image.tar", ImageSpec(name, (inside,)), [layer])
        layer.unlink()

    stamp = program.stat()
    key = build.digest([name, str(program), str(stamp.st_size), str(stamp.st_mtime_ns), "1"])
    return Archive(name, build.once("images", key, make) / "image.tar")


def infrastructure() -> list[Archive]:
    """The images that every cluster needs before the first request."""
    apps = build.build_go(build.DEMO_APPS)
    return [
        program_image(PAUSE, apps / "pause"),
        program_image(TRAEFIK, build.traefik()),
        program_image(PROMETHEUS, build.build_go(build.MONITORING) / "prometheus"),
        program_image(DEMO, apps / "demo"),
        program_image(LOADGEN, apps / "loadgen"),
    ]
