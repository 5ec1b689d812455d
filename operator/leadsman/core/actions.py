"""What the core can ask for: small and absolute, each seen as done in the world itself.

The executor turns an action into one version-checked write (or one a route or Service), runs a
decision's actions in order and stops at the first refusal; the next observation decides again.
"""

from __future__ import annotations

from dataclasses import dataclass

from leadsman.core.observation import Role
from leadsman.core.status import Original


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Make sure that deleting the Rollout gives everything back."""


@dataclass(frozen=True, slots=True)
class DropFinalizer:
    """Everything was given back: let the Rollout go."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Set `spec.paused` of the Deployment. Done: it is paused."""

    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class Unpause:
    """Remove `spec.paused` of the Deployment. Done: it is not paused."""

    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class RecordTerms:
    """Write plan and contract into a ControllerRevision owned by the Rollout."""

    name: str


@dataclass(frozen=True, slots=True)
class DropTerms:
    """Delete that ControllerRevision."""

    name: str


@dataclass(frozen=True, slots=True)
class SetArm:
    """Create (or narrow, or widen, in weights-only mode) one arm of a Service.

    `revision` "" means the user's own selector, without pod-template-hash.
    """

    service: str
    role: Role
    revision: str


@dataclass(frozen=True, slots=True)
class DropArms:
    """Delete both arms of every Service named."""

    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeepArms:
    """Let go of both arms of every Service, but leave them: the user's own route names them."""

    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetWeights:
    """Give the canary `canary` percent on every rule, the stable arm the rest.

    `lowering`: no rule's canary weight rises, so the patch tests names only and goes to all
    routes at once; otherwise it tests the resourceVersion.
    """

    canary: int
    lowering: bool


@dataclass(frozen=True, slots=True)
class RestoreRules:
    """Put the user's own backends back, exactly, and give up the ownership of the rules."""

    original: tuple[Original, ...]


@dataclass(frozen=True, slots=True)
class KeepRoute:
    """Create the route that the Rollout carries, or bring it back to its template."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Add pod-template-hash to the user's Service's selector."""

    service: str
    revision: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class Unpin:
    """Remove pod-template-hash from the user's Service's selector."""

    service: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class CreateCanary:
    """Create the canary ReplicaSet, controlled by the Rollout, from the Deployment's template."""

    revision: str
    replicas: int


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Replace a ReplicaSet's controller reference by the Rollout's."""

    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class ScaleCanary:
    """Set a ReplicaSet's `spec.replicas`."""

    name: str
    replicas: int
    resource_version: str


@dataclass(frozen=True, slots=True)
class DeleteCanary:
    """Delete a ReplicaSet that the Rollout controls; its pods go with it."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Give a ReplicaSet that was taken over back to the Deployment, at 0 replicas."""

    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class Release:
    """Hand the canary ReplicaSet to the Deployment, saturated at `replicas`, in one patch."""

    name: str
    uid: str
    resource_version: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell users: an event with a unique reason."""

    reason: str
    message: str
    warning: bool = False


Action = (
    AddFinalizer
    | DropFinalizer
    | Pause
    | Unpause
    | RecordTerms
    | DropTerms
    | SetArm
    | DropArms
    | KeepArms
    | SetWeights
    | RestoreRules
    | KeepRoute
    | Pin
    | Unpin
    | CreateCanary
    | TakeOver
    | ScaleCanary
    | DeleteCanary
    | GiveBack
    | Release
    | Emit
)
