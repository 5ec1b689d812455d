package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// answer is what became of one request; problem is empty when it was served.
type answer struct {
	version string
	pod     string
	problem string
}

type sender func(context.Context) answer

func newSender(o options) (sender, error) {
	var send sender
	var err error
	if o.useGRPC {
		send, err = grpcSender(o)
	} else {
		send, err = httpSender(o)
	}
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) answer {
		limited, cancel := context.WithTimeout(ctx, o.timeout)
		defer cancel()
		return send(limited)
	}, nil
}

func httpSender(o options) (sender, error) {
	transport := &http.Transport{
		MaxIdleConns:        4096,
		MaxIdleConnsPerHost: 4096,
		DisableKeepAlives:   !o.keepAlive,
		DisableCompression:  true,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	if _, err := http.NewRequest(http.MethodGet, o.url, nil); err != nil {
		return nil, err
	}
	return func(ctx context.Context) answer {
		// A body (of no bytes) that cannot be had twice keeps the transport from sending the request
		// again on another connection: a connection that breaks is a user who saw an error.
		once := io.NopCloser(strings.NewReader(""))
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url, once)
		if err != nil {
			return answer{problem: err.Error()}
		}
		request.ContentLength = 0
		request.GetBody = nil
		if o.host != "" {
			request.Host = o.host
		}
		response, err := client.Do(request)
		if err != nil {
			return answer{problem: reason(err)}
		}
		defer response.Body.Close()
		seen := answer{version: response.Header.Get("X-Version"), pod: response.Header.Get("X-Pod")}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			seen.problem = reason(err)
		} else if response.StatusCode < 200 || response.StatusCode > 299 {
			seen.problem = fmt.Sprintf("status %d", response.StatusCode)
		}
		return seen
	}, nil
}

func grpcSender(o options) (sender, error) {
	parsed, err := url.Parse(o.url)
	if err != nil {
		return nil, err
	}
	settings := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if o.host != "" {
		settings = append(settings, grpc.WithAuthority(o.host))
	}
	clients := make([]grpc_health_v1.HealthClient, 4)
	for i := range clients {
		connection, err := grpc.NewClient("dns:///"+parsed.Host, settings...)
		if err != nil {
			return nil, err
		}
		clients[i] = grpc_health_v1.NewHealthClient(connection)
	}
	var turn atomic.Uint64
	return func(ctx context.Context) answer {
		var header metadata.MD
		client := clients[turn.Add(1)%uint64(len(clients))]
		_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&header))
		seen := answer{version: first(header.Get("x-version")), pod: first(header.Get("x-pod"))}
		if err != nil {
			seen.problem = "grpc " + status.Code(err).String()
		}
		return seen
	}, nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// reason names a failure without its addresses and ports, so that equal failures are counted together.
func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	text := err.Error()
	if at := strings.LastIndex(text, ": "); at >= 0 {
		text = text[at+2:]
	}
	return text
}
