"""Members of enumerations that nearly every pass names, by a name of their own.

Python 3.11 takes forty nanoseconds to find a member of a class with a metaclass and two to find a
name of a module; a pass of the core names some thirty of these.
"""

from __future__ import annotations

from leadsman.core.observation import Fault, Form, Owner, Role
from leadsman.core.spec import HoldMode, InCluster
from leadsman.core.status import Heading

ADVANCING, ROLLING_BACK, HANDING_OVER = (
    Heading.ADVANCING,
    Heading.ROLLING_BACK,
    Heading.HANDING_OVER,
)
ARMS, AT_REST = Form.ARMS, Form.REST
DEPLOYMENT, ROLLOUT = Owner.DEPLOYMENT, Owner.ROLLOUT
STABLE, CANARY = Role.STABLE, Role.CANARY
NO_FAULT = Fault.NONE
PAUSED, SHARED = HoldMode.PAUSED, InCluster.SHARED
