// Command loadgen is the users of the suites: it sends requests at planned moments, whether earlier
// ones have been answered or not (open loop), and prints what became of them as one JSON document.
// It runs only inside the test network or in a pod; see place.go.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

type options struct {
	url       string
	host      string
	rps       float64
	duration  time.Duration
	timeout   time.Duration
	useGRPC   bool
	keepAlive bool
	progress  bool
}

func main() {
	debug.SetGCPercent(400) // a small heap is collected many times a second otherwise
	var o options
	flag.StringVar(&o.url, "url", "", "where to send requests: http://HOST:PORT/PATH")
	flag.StringVar(&o.host, "host", "", "Host header (for gRPC: the authority)")
	flag.Float64Var(&o.rps, "rps", 200, "requests a second")
	flag.DurationVar(&o.duration, "duration", time.Minute, "how long to send")
	flag.DurationVar(&o.timeout, "timeout", 5*time.Second, "after that a request has failed")
	flag.BoolVar(&o.useGRPC, "grpc", false, "call grpc.health.v1.Health/Check instead of HTTP GET")
	flag.BoolVar(&o.keepAlive, "keepalive", true, "reuse connections")
	flag.BoolVar(&o.progress, "progress", false, "a JSON line `progress {...}` on standard error each second")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(2)
	}
}

func run(o options) error {
	if o.url == "" || o.rps <= 0 || o.duration <= 0 {
		return fmt.Errorf("--url, --rps above 0 and --duration above 0 are needed")
	}
	if err := assertPlace(o.url); err != nil {
		return err
	}
	send, err := newSender(o)
	if err != nil {
		return err
	}
	end, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	results := newResults()
	planned := openLoop(end, o.rps, o.duration, send, results, func(elapsed time.Duration) {
		if o.progress {
			line, _ := json.Marshal(results.progress(elapsed))
			fmt.Fprintf(os.Stderr, "progress %s\n", line)
		}
	})
	return json.NewEncoder(os.Stdout).Encode(results.report(o, planned))
}
