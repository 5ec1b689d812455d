"""The measurements that need a cluster, started inside one: `python -m bench.inside THEME ...`.

Prints what happens and writes the samples as JSON to the file that it is given.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path


def main(argv: list[str]) -> int:
    """THEME BOOT BOOTS FILE."""
    theme, boot, boots, path = argv
    samples = importlib.import_module(f"bench.{theme}").run(int(boot), int(boots))
    Path(path).write_text(json.dumps(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
