"""The project's numbers, measured: `python -m bench` writes bench/results.json."""
