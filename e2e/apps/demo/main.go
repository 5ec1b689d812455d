// Command demo is the application that the suites release: it says which version answered, counts
// what it answered, and misbehaves on request. HTTP on 8080; gRPC (health service) on 9090.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// drain is how long a pod that is told to end goes on answering, as `preStop: sleep` would make it.
const drain = 2 * time.Second

type app struct {
	acts     *behaviour
	fixed    environment
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	draining atomic.Bool
	grpc_health_v1.UnimplementedHealthServer
}

func main() {
	debug.SetGCPercent(400) // a small heap is collected many times a second otherwise
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	acts, fixed, err := fromEnvironment()
	if err != nil {
		log.Fatal(err)
	}
	if fixed.crashAfter > 0 {
		time.AfterFunc(fixed.crashAfter, func() {
			log.Printf("CRASH_AFTER_MS is over: exit %d", fixed.exitCode)
			os.Exit(fixed.exitCode)
		})
	}
	end, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	select {
	case <-time.After(fixed.startupDelay):
	case <-end.Done():
		return
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	serves := newApp(acts, fixed, registry)

	mux := http.NewServeMux()
	mux.HandleFunc("/", serves.user)
	mux.HandleFunc("/healthz", serves.healthz)
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("POST /admin", serves.admin)
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: ":8080", Handler: mux, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second}
	calls := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(calls, serves)
	socket, err := net.Listen("tcp", ":9090")
	if err != nil {
		log.Fatal(err)
	}
	failed := make(chan error, 2)
	go func() { failed <- calls.Serve(socket) }()
	go func() { failed <- server.ListenAndServe() }()
	log.Printf("version %s on :8080 and, as gRPC, on :9090", fixed.version)
	select {
	case err := <-failed:
		log.Fatal(err)
	case <-end.Done():
	}
	// What is in flight is finished: a release must not fail a request by its own restart. Connections in
	// use are first told to close with their next answer, so that no request meets a closed one; and a
	// gateway on a busy machine has time to hear that this pod is leaving.
	serves.draining.Store(true)
	time.Sleep(drain)
	patience, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	go calls.GracefulStop()
	if err := server.Shutdown(patience); err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Print(err)
	}
	calls.Stop()
}

func newApp(acts *behaviour, fixed environment, registry *prometheus.Registry) *app {
	serves := &app{
		acts:  acts,
		fixed: fixed,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "demo_requests_total", Help: "User requests by answer.",
		}, []string{"code", "version", "method"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "demo_request_duration_seconds", Help: "Time to answer user requests.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}, []string{"version", "method"}),
	}
	registry.MustRegister(serves.requests, serves.duration)
	// Present from the start: a counter that appears with its first error hides that error from rate().
	for _, code := range []string{"200", "500"} {
		serves.requests.WithLabelValues(code, fixed.version, http.MethodGet)
	}
	serves.duration.WithLabelValues(fixed.version, http.MethodGet)
	return serves
}

func (a *app) user(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	wait, fail := a.acts.draw()
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
		}
	}
	code := http.StatusOK
	if fail {
		code = http.StatusInternalServerError
	}
	if a.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Version", a.fixed.version)
	w.Header().Set("X-Pod", a.fixed.pod)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"version": a.fixed.version, "pod": a.fixed.pod})
	a.count(strconv.Itoa(code), r.Method, started)
}

func (a *app) count(code, method string, started time.Time) {
	a.requests.WithLabelValues(code, a.fixed.version, method).Inc()
	a.duration.WithLabelValues(a.fixed.version, method).Observe(time.Since(started).Seconds())
}

func (a *app) healthz(w http.ResponseWriter, _ *http.Request) {
	if !a.acts.isReady() {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
	}
}

func (a *app) admin(w http.ResponseWriter, r *http.Request) {
	exit, err := a.acts.change(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	log.Printf("admin: %s", r.URL.RawQuery)
	w.WriteHeader(http.StatusNoContent)
	if exit != nil {
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		time.AfterFunc(20*time.Millisecond, func() { os.Exit(*exit) })
	}
}

// Check is the gRPC user request: it names its version in the header x-version and fails as HTTP does.
func (a *app) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	started := time.Now()
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-version", a.fixed.version, "x-pod", a.fixed.pod))
	wait, fail := a.acts.draw()
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	if fail {
		a.count("500", "GRPC", started)
		return nil, status.Error(codes.Internal, "asked to fail")
	}
	a.count("200", "GRPC", started)
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}
