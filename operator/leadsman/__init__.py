"""Leadsman: progressive delivery for Kubernetes that leaves the user's objects the user's."""

__version__ = "0.1.0"
