"""Command lines and configuration files of the bare cluster's programs.

Pure: everything follows from a Layout (where things are). The settings are those that differ from
the defaults, and the comments say why they do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.namespace import (
    KUBERNETES_SERVICE,
    NODE_ADDRESS,
    POD_NETWORK,
    SERVICE_NETWORK,
)

API_PORT = 6443
NODE_NAME = "bare"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
ETCD = "http://127.0.0.1:2379"

RARELY_COLLECTED: Mapping[str, str] = {"GOGC": "400"}
"""For all programs of the cluster: memory is plenty, and a fifth of their time was collecting it.
The manifests and programs of the bed's pods say the same."""

# One user for each program, so that the audit log tells whose requests are whose. The first part of
# each line is the kubeconfig's name; tokens need no secrecy in a network without a way out.
USERS: Mapping[str, tuple[str, str]] = {
    "admin": ("admin", "system:masters"),
    "suite": ("suite", "system:masters"),
    "bench": ("bench", "system:masters"),
    "loadgen": ("loadgen", "system:masters"),
    "dns": ("cluster-dns", "system:masters"),
    "proxy": ("system:kube-proxy", ""),
    "kcm": ("system:kube-controller-manager", "system:masters"),
    "scheduler": ("system:kube-scheduler", "system:masters"),
    "kubelet": (f"system:node:{NODE_NAME}", "system:nodes"),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one bed keeps its files and finds its programs."""

    name: str
    state: Path  # survives the bed: logs, audit log, kubeconfigs
    work: Path  # a memory disk, gone with the bed
    kube: Path
    runtime: Path
    runc: Path

    @property
    def config(self) -> Path:
        """Folder of generated configuration files."""
        return self.work / "config"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON object a line."""
        return self.state / "audit.log"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of one of USERS."""
        return self.state / ("kubeconfig" if user == "admin" else f"kubeconfig-{user}")


def kubeconfig(layout: Layout, user: str) -> str:
    """A kubeconfig document (JSON is YAML) for one of USERS."""
    cluster = {
        "server": f"https://{NODE_ADDRESS}:{API_PORT}",
        "certificate-authority": str(layout.state / "ca.crt"),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bed", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": f"{user}-token"}}],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": user}}],
        "current-context": "bed",
    }
    return json.dumps(document, indent=1)


def token_file() -> str:
    """The API server's static token file: token, user, uid, groups."""
    lines = []
    for key, (user, group) in USERS.items():
        lines.append(
            f'{key}-token,{user},{key},"{group}"' if group else f"{key}-token,{user},{key}"
        )
    return "\n".join(lines) + "\n"


def audit_policy() -> str:
    """Every request once, at Metadata level."""
    return json.dumps(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        }
    )


def kubelet_config(layout: Layout) -> str:
    """kubelet's configuration: one small node without limits of its own, on cgroup v1 too."""
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "localStorageCapacityIsolation": False,
            # The machine's free disk is none of the bed's business.
            "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,
            "clusterDNS": [NODE_ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "podLogsDir": str(layout.work / "pod-logs"),
            "enableSystemLogHandler": False,
            "readOnlyPort": 0,
            "maxPods": 250,
            "serializeImagePulls": False,
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
            "kubeAPIQPS": 500,
            "kubeAPIBurst": 1000,
            # A pod that gives up waits at most this long for its next start in back-off.
            "nodeStatusUpdateFrequency": "10s",
            "volumeStatsAggPeriod": "-1s",
        }
    )


def proxy_config(layout: Layout) -> str:
    """kube-proxy's configuration: nftables, rules written as soon as something changes."""
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {
                "kubeconfig": str(layout.kubeconfig("proxy")),
                "qps": 200,
                "burst": 400,
            },
            "hostnameOverride": NODE_NAME,
            "bindAddress": NODE_ADDRESS,
            "detectLocalMode": "ClusterCIDR",
            "clusterCIDR": POD_NETWORK,
            "nftables": {"minSyncPeriod": "50ms", "syncPeriod": "30s"},
            # Zero leaves the machine's connection tracking limits as they are.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "oomScoreAdj": 0,
        }
    )


def containerd_config(layout: Layout, pause: str) -> str:
    """containerd's configuration (version 3)."""
    return f"""version = 3
root = "{layout.work}/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs",
  "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing", "io.containerd.image-verifier.v1.bindir",
]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
  # Lowering a score needs CAP_SYS_RESOURCE, which root does not have everywhere.
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  disable_apparmor = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{layout.runtime}"]
  conf_dir = "{layout.config}/cni"
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{layout.runc}"
  SystemdCgroup = false
"""


def cni_config(layout: Layout) -> str:
    """The pod network: a bridge with addresses handed out on this one node."""
    return json.dumps(
        {
            "cniVersion": "1.0.0",
            "name": "bed",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "cni0",
                    "isGateway": True,
                    "hairpinMode": True,
                    "ipMasq": False,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(layout.work / "cni"),
                        "ranges": [[{"subnet": POD_NETWORK}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                }
            ],
        }
    )


def etcd(layout: Layout) -> list[str]:
    """etcd on the memory disk; it need not survive anything, so it does not wait for a disk."""
    return [
        str(layout.kube / "etcd"),
        f"--data-dir={layout.work}/etcd",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver(layout: Layout) -> list[str]:
    """The API server with RBAC as in production, and with one line of audit log a request."""
    return [
        str(layout.kube / "kube-apiserver"),
        f"--etcd-servers={ETCD}",
        f"--secure-port={API_PORT}",
        f"--advertise-address={NODE_ADDRESS}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--service-node-port-range=30000-32767",
        f"--tls-cert-file={layout.config}/apiserver.crt",
        f"--tls-private-key-file={layout.config}/apiserver.key",
        f"--cert-dir={layout.config}",
        f"--token-auth-file={layout.config}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        f"--service-account-issuer=https://{NODE_ADDRESS}:{API_PORT}",
        f"--service-account-key-file={layout.config}/sa.key",
        f"--service-account-signing-key-file={layout.config}/sa.key",
        f"--audit-policy-file={layout.config}/audit-policy.json",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-mode=batch",
        "--audit-log-batch-max-wait=200ms",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
        "--enable-priority-and-fairness=true",
    ]


def controller_manager(layout: Layout) -> list[str]:
    """All controllers but those of clouds and of several nodes."""
    return [
        str(layout.kube / "kube-controller-manager"),
        f"--kubeconfig={layout.kubeconfig('kcm')}",
        "--leader-elect=false",
        "--controllers=*,-node-ipam-controller,-cloud-node-lifecycle-controller,"
        "-persistentvolume-attach-detach-controller",
        f"--service-account-private-key-file={layout.config}/sa.key",
        f"--root-ca-file={layout.state}/ca.crt",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def scheduler(layout: Layout) -> list[str]:
    """The scheduler, alone."""
    return [
        str(layout.kube / "kube-scheduler"),
        f"--kubeconfig={layout.kubeconfig('scheduler')}",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def kubelet(layout: Layout) -> list[str]:
    """The node."""
    return [
        str(layout.kube / "kubelet"),
        f"--kubeconfig={layout.kubeconfig('kubelet')}",
        f"--config={layout.config}/kubelet.json",
        f"--root-dir={layout.work}/kubelet",
        f"--cert-dir={layout.work}/kubelet-pki",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}",
    ]


def proxy(layout: Layout) -> list[str]:
    """kube-proxy."""
    return [str(layout.kube / "kube-proxy"), f"--config={layout.config}/proxy.json"]


def dns(layout: Layout) -> list[str]:
    """The cluster's names, on the node's address."""
    return [
        str(layout.kube / "cluster-dns"),
        f"--kubeconfig={layout.kubeconfig('dns')}",
        f"--listen={NODE_ADDRESS}:53",
    ]


def containerd(layout: Layout) -> list[str]:
    """The container runtime."""
    return [str(layout.runtime / "containerd"), "--config", f"{layout.config}/containerd.toml"]


def import_image(layout: Layout, tar: Path) -> list[str]:
    """Imports an image archive where kubelet finds it; unpacked at once, by this client."""
    return [
        str(layout.runtime / "ctr"),
        f"--address={CONTAINERD_SOCKET}",
        "--namespace=k8s.io",
        "images",
        "import",
        "--local",
        "--snapshotter=overlayfs",
        str(tar),
    ]


def keys(layout: Layout) -> list[str]:
    """Makes the cluster's keys in the configuration folder."""
    names: Sequence[str] = (
        NODE_ADDRESS,
        KUBERNETES_SERVICE,
        "127.0.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    )
    return [str(layout.kube / "make-keys"), str(layout.config), *names]


def configuration(layout: Layout, pause: str) -> dict[Path, str]:
    """All files that the programs read, by path."""
    return {
        layout.config / "tokens.csv": token_file(),
        layout.config / "audit-policy.json": audit_policy(),
        layout.config / "kubelet.json": kubelet_config(layout),
        layout.config / "proxy.json": proxy_config(layout),
        layout.config / "containerd.toml": containerd_config(layout, pause),
        layout.config / "cni" / "10-bed.conflist": cni_config(layout),
        **{layout.kubeconfig(user): kubeconfig(layout, user) for user in USERS},
    }
