"""`python -m leadsman.cli`."""

from __future__ import annotations

from leadsman.cli.main import main

main()
