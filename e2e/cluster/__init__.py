"""Test clusters: `python -m e2e.cluster up | exec | down | run | build` (see e2e/README.md)."""
