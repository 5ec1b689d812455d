"""Image archives: what an engine reads in them."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from e2e.cluster.images import ImageSpec, write_image, write_layer, write_tree_layer


def _image(folder: Path) -> Path:
    folder.mkdir()
    write_layer(folder / "a.tar", {"/demo": b"#!/bin/true\n"})
    (folder / "tree/pkg/__pycache__").mkdir(parents=True)
    (folder / "tree/pkg/x.py").write_text("x = 1\n")
    (folder / "tree/pkg/__pycache__/x.pyc").write_text("")
    write_tree_layer(folder / "b.tar", [(folder / "tree", "app")])
    spec = ImageSpec("leadsman.dev/t:1", ("/demo",), env={"A": "1"})
    write_image(folder / "image.tar", spec, [folder / "a.tar", folder / "b.tar"])
    return folder / "image.tar"


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None
    return member.read()


def test_every_blob_is_named_by_its_digest_and_the_index_leads_to_all(tmp_path):
    with tarfile.open(_image(tmp_path / "i")) as archive:
        blobs = {n for n in archive.getnames() if n.startswith("blobs/sha256/")}
        for name in blobs:
            assert hashlib.sha256(_read(archive, name)).hexdigest() == name.rpartition("/")[2]
        index = json.loads(_read(archive, "index.json"))
        (entry,) = index["manifests"]
        assert entry["annotations"]["io.containerd.image.name"] == "leadsman.dev/t:1"
        digest = entry["digest"].removeprefix("sha256:")
        manifest = json.loads(_read(archive, f"blobs/sha256/{digest}"))
        linked = [manifest["config"], *manifest["layers"]]
        reached = {digest, *(d["digest"].removeprefix("sha256:") for d in linked)}
        assert {n.rpartition("/")[2] for n in blobs} == reached
        config = json.loads(_read(archive, "blobs/sha256/" + linked[0]["digest"][7:]))
        assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
        assert config["config"]["User"] == "65532:65532"
        assert config["config"]["Entrypoint"] == ["/demo"]


def test_equal_input_gives_equal_archives(tmp_path):
    first, second = _image(tmp_path / "one"), _image(tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()


def test_caches_of_the_interpreter_are_left_out(tmp_path):
    _image(tmp_path / "i")
    with tarfile.open(tmp_path / "i" / "b.tar") as layer:
        assert [n for n in layer.getnames() if n.endswith((".py", ".pyc"))] == ["app/pkg/x.py"]
