"""A Kubernetes cluster in memory, close enough to the real one to prove releases on.

    kube = FakeKube(FakeClock())
    kube.user_apply(deployment)          # a user; controllers have not run yet
    kube.advance(5)                      # five virtual seconds: pods are ready
    await kube.patch(ref, operations)    # the operator, through the `Kube` port
    kube.step()                          # one controller looks at one object
    kube.traffic("default", "shop")      # which pods get which share of a route's requests

What it keeps to: resource versions, generations, uids, JSON Patch with the real server's
peculiarities, sub-resources, dry runs, finalizers, owners and garbage collection, watches, field
owners and server-side apply, the Deployment and ReplicaSet controllers, pods with their delays,
crashes and evictions, EndpointSlices, a gateway whose conditions and data plane have times of
their own, and the admission policies of the operator's installation.

What it does not do: authentication and rights; validation beyond the rules that releases meet
(`schemas.from_crd` adds a CRD's own; CEL is not evaluated); several nodes, scheduling and taints;
stale caches of controllers (each looks at what is stored; the order of looks is free instead);
field owners of what controllers and status writes change.
"""

from leadsman.testing.fake_kube.faults import Faults, Killed, Request, Write
from leadsman.testing.fake_kube.gateway import Traffic
from leadsman.testing.fake_kube.kube import FakeKube, NotSettledError
from leadsman.testing.fake_kube.kubelet import Behaviour

__all__ = [
    "Behaviour",
    "FakeKube",
    "Faults",
    "Killed",
    "NotSettledError",
    "Request",
    "Traffic",
    "Write",
]
