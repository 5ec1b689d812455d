"""What can go wrong while a test cluster is made; every message says what to do about it."""

from __future__ import annotations


class BedError(Exception):
    """Root of all errors of e2e.cluster."""


class MissingToolError(BedError):
    """Raised when the machine lacks what cannot be installed here (root, unshare, ...)."""


class BuildError(BedError):
    """Raised when a part could not be built or fetched from its registry."""


class BootError(BedError):
    """Raised when a cluster did not become ready in time; the message names the log to read."""


class OutsideBedError(BedError):
    """Raised when a client is started outside the test network, where its traffic could leave."""
