"""What runs the core: scheduling, watching, executing, telemetry. It decides nothing itself."""
