"""What can go wrong while a test cluster is made; every message says what to do about it."""

from __future__ import annotations


class BedError(Exception):
    """Root of all errors of e2e.cluster."""


class MissingTool(BedError):
    """Raised when the machine lacks something that cannot be installed here (root, unshare, ...)."""


class BuildFailed(BedError):
    """Raised when a part could not be built or fetched from its registry."""


class BootFailed(BedError):
    """Raised when a cluster did not become ready in time; the message names the log to read."""


class OutsideBed(BedError):
    """Raised when a client is started outside the test network, where its traffic could leave."""
