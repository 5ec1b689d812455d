"""Workloads: one kind a provider, pure functions on the workload's objects.

Reading gives facts for the core, building gives manifests and JSON Patches with preconditions; who
sends them is the executor's business.
"""
