"""Writes container images as OCI layout archives, without an engine.

An image is a handful of JSON documents and its layers; `ctr images import` and
`kind load image-archive` take it as one tar. Layers stay uncompressed: compressing and expanding
them would cost more than the copy on one machine. Times and owners are fixed, so that equal input
gives an equal digest.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What an image is called and how it starts."""

    name: str
    entrypoint: tuple[str, ...]
    user: str = "65532:65532"
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"


def architecture() -> str:
    """This machine's architecture in OCI's words."""
    return _ARCH.get(platform.machine(), platform.machine())


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info


def write_layer(target: Path, files: Mapping[str, Path | bytes], executable: bool = True) -> None:
    """Writes a layer with single files: path inside the image to content (a file's or bytes)."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, source in sorted(files.items()):
            info = _plain(tarfile.TarInfo(name.lstrip("/")))
            info.mode = 0o755 if executable else 0o644
            if isinstance(source, bytes):
                info.size = len(source)
                archive.addfile(info, io.BytesIO(source))
            else:
                info.size = source.stat().st_size
                with source.open("rb") as handle:
                    archive.addfile(info, handle)


def write_tree_layer(
    target: Path, trees: Iterable[tuple[Path, str]], skip: Sequence[str] = ("__pycache__",)
) -> None:
    """Writes a layer with whole folders: (folder here, path inside the image) each."""

    def keep(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if any(part in skip for part in Path(info.name).parts):
            return None
        return _plain(info)

    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for folder, inside in trees:
            archive.add(folder, arcname=inside.strip("/") or ".", filter=keep)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = _plain(tarfile.TarInfo(name))
    info.size = len(data)
    info.mode = 0o644
    archive.addfile(info, io.BytesIO(data))


def _file_digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_image(target: Path, spec: ImageSpec, layers: Sequence[Path]) -> None:
    """Writes the archive of an image made of `layers` (uncompressed tars, lowest first)."""
    digests = [_file_digest(layer) for layer in layers]
    config = json.dumps(
        {
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": list(spec.entrypoint),
                "Env": [f"{k}={v}" for k, v in sorted(spec.env.items())],
                "User": spec.user,
                "WorkingDir": spec.workdir,
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{d}" for d in digests]},
        },
        sort_keys=True,
    ).encode()
    config_digest = hashlib.sha256(config).hexdigest()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {
                "mediaType": _CONFIG,
                "digest": f"sha256:{config_digest}",
                "size": len(config),
            },
            "layers": [
                {"mediaType": _LAYER, "digest": f"sha256:{d}", "size": layer.stat().st_size}
                for d, layer in zip(digests, layers, strict=True)
            ],
        },
        sort_keys=True,
    ).encode()
    manifest_digest = hashlib.sha256(manifest).hexdigest()
    index = json.dumps(
        {
            "schemaVersion": 2,
            "manifests": [
                {
                    "mediaType": _MANIFEST,
                    "digest": f"sha256:{manifest_digest}",
                    "size": len(manifest),
                    "annotations": {
                        "io.containerd.image.name": spec.name,
                        "org.opencontainers.image.ref.name": spec.name.rpartition(":")[2],
                    },
                    "platform": {"architecture": architecture(), "os": "linux"},
                }
            ],
        },
        sort_keys=True,
    ).encode()
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", index)
        _add(archive, f"blobs/sha256/{config_digest}", config)
        _add(archive, f"blobs/sha256/{manifest_digest}", manifest)
        seen: set[str] = set()
        for digest, layer in zip(digests, layers, strict=True):
            if digest in seen:
                continue
            seen.add(digest)
            info = _plain(tarfile.TarInfo(f"blobs/sha256/{digest}"))
            info.size = layer.stat().st_size
            info.mode = 0o644
            with layer.open("rb") as handle:
                archive.addfile(info, handle)
