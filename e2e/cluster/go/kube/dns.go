package main

// The names of the cluster: answers A queries for service.namespace.svc.cluster.local out of two
// watches. It stands in for CoreDNS, which would be a second build of a minute for the same answers.
// What it does not know does not exist (NXDOMAIN at once): the bed has no world outside.

import (
	"context"
	"errors"
	"flag"
	"net"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"
)

const clusterDomain = "svc.cluster.local."

type names struct {
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
}

func serveNames(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("cluster-dns", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	listen := flags.String("listen", "127.0.0.1:53", "UDP address to answer on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	known := &names{
		services: factory.Core().V1().Services().Lister(),
		slices:   factory.Discovery().V1().EndpointSlices().Lister(),
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	socket, err := net.ListenPacket("udp", *listen)
	if err != nil {
		return err
	}
	defer socket.Close()
	buffer := make([]byte, 4096)
	for {
		size, from, err := socket.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if reply, err := known.answer(buffer[:size]); err == nil {
			_, _ = socket.WriteTo(reply, from)
		}
	}
}

// answer returns the reply to one query; an error means that it cannot be parsed (no reply is sent).
func (n *names) answer(query []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	addresses, known := n.lookup(strings.ToLower(question.Name.String()))
	reply := dnsmessage.Header{
		ID: header.ID, Response: true, Authoritative: true,
		RecursionDesired: header.RecursionDesired, RecursionAvailable: true,
	}
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	builder := dnsmessage.NewBuilder(nil, reply)
	builder.EnableCompression()
	if err := builder.StartQuestions(); err != nil {
		return nil, err
	}
	if err := builder.Question(question); err != nil {
		return nil, err
	}
	if err := builder.StartAnswers(); err != nil {
		return nil, err
	}
	if question.Type == dnsmessage.TypeA {
		resource := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 5}
		for _, address := range addresses {
			if err := builder.AResource(resource, dnsmessage.AResource{A: address}); err != nil {
				return nil, err
			}
		}
	}
	return builder.Finish()
}

// lookup resolves a fully qualified name; headless services resolve to their ready endpoints.
func (n *names) lookup(name string) (addresses [][4]byte, known bool) {
	short, ours := strings.CutSuffix(name, "."+clusterDomain)
	parts := strings.Split(short, ".")
	if !ours || len(parts) != 2 {
		return nil, false
	}
	service, err := n.services.Services(parts[1]).Get(parts[0])
	if err != nil {
		return nil, false
	}
	if service.Spec.ClusterIP != "None" {
		return appendIPv4(nil, service.Spec.ClusterIP), true
	}
	selector := labels.SelectorFromSet(labels.Set{discovery.LabelServiceName: parts[0]})
	slices, err := n.slices.EndpointSlices(parts[1]).List(selector)
	if err != nil {
		return nil, true
	}
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			if ready := endpoint.Conditions.Ready; ready == nil || *ready {
				for _, address := range endpoint.Addresses {
					addresses = appendIPv4(addresses, address)
				}
			}
		}
	}
	return addresses, true
}

func appendIPv4(list [][4]byte, text string) [][4]byte {
	if ip := net.ParseIP(text).To4(); ip != nil {
		list = append(list, [4]byte(ip))
	}
	return list
}
