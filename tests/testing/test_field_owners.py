"""Fields change hands in memory as on a real Kubernetes 1.36.3.

`field_owners_real.json` is what `python -m tests.testing.field_owners` read from the real cluster.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.testing.field_owners import InMemory, row

REAL = json.loads((Path(__file__).parent / "field_owners_real.json").read_text())


def test_each_write_leaves_the_owners_that_a_real_server_leaves() -> None:
    assert [[label, accepted, owners] for label, accepted, owners in row(InMemory())] == REAL
