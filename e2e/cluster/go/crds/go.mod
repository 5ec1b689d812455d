module leadsman.dev/e2e/crds

go 1.26.0

// Data only: the manifests in config/crd/standard. Not to be tidied (nothing imports it).
require sigs.k8s.io/gateway-api v1.6.3
