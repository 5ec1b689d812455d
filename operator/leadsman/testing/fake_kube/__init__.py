"""A Kubernetes cluster in memory, close enough to the real one to prove releases on."""

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
