"""How a bed divides the machine, in folders that look like the kernel's."""

from __future__ import annotations

import pytest

from e2e.cluster import shares


@pytest.fixture
def top(tmp_path, monkeypatch):
    monkeypatch.setattr(shares, "TOP", tmp_path)
    (tmp_path / "cpu").mkdir()
    return tmp_path


def test_pods_and_programs_weigh_the_same_and_more_than_the_tests(top):
    shares.divide()
    groups = (top / "cpu" / shares.PODS, top / "cpu" / shares.PROGRAMS)
    weights = {int((group / "cpu.shares").read_text()) for group in groups}
    assert len(weights) == 1
    assert weights.pop() > 1024


def test_a_program_joins_its_group(top):
    shares.divide()
    shares.join(4711)
    assert (top / "cpu" / shares.PROGRAMS / "cgroup.procs").read_text() == "4711"


def test_a_kernel_without_groups_is_borne(top):
    (top / "cpu").rmdir()
    top.chmod(0o500)
    shares.divide()
    shares.join(1)
    shares.clean(["a"])


def test_what_is_left_of_containers_is_removed_and_no_others(top):
    pods = top / "cpu" / shares.PODS
    for name in ("ended", "of-another-bed"):
        (pods / name / "child").mkdir(parents=True)
    shares.clean(["ended"])
    assert [folder.name for folder in pods.iterdir()] == ["of-another-bed"]
