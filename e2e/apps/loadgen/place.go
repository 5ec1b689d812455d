package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"time"
)

// The bare test network; see e2e/cluster/namespace.py.
const marker = "leadsman0"

var testNetwork = netip.MustParsePrefix("10.78.0.0/16")

// assertPlace refuses to send anything from a place or to a place that is not the test's own: outside,
// the same private addresses belong to somebody else.
func assertPlace(target string) error {
	if !inTestNetwork() && !inPod() {
		return fmt.Errorf("refused: neither inside the test network nor in a pod; " +
			"start it with `python -m e2e.cluster exec -- ...` or as a Job")
	}
	parsed, err := url.Parse(target)
	if err != nil {
		return err
	}
	name := parsed.Hostname()
	limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(limit, "ip", name)
	if err != nil {
		return fmt.Errorf("cannot resolve %q: %w", name, err)
	}
	for _, address := range addresses {
		if address = address.Unmap(); !address.IsPrivate() && !address.IsLoopback() {
			return fmt.Errorf("refused: %s is %s, which is not a private address", name, address)
		}
	}
	return nil
}

// inTestNetwork: the marker interface (the node), or nothing but test addresses (a pod of the bed).
func inTestNetwork() bool {
	if _, err := net.InterfaceByName(marker); err == nil {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	ours := false
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.String())
		if err != nil {
			return false
		}
		ip := prefix.Addr().Unmap()
		switch {
		case ip.IsLoopback(), ip.IsLinkLocalUnicast():
		case testNetwork.Contains(ip):
			ours = true
		default:
			return false
		}
	}
	return ours
}

// inPod: a pod of any cluster (kind, existing), by what kubelet gives each of them.
func inPod() bool {
	_, err := os.Stat("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	return err == nil && os.Getenv("KUBERNETES_SERVICE_HOST") != ""
}
