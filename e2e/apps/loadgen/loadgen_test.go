package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func measure(t *testing.T, o options, send sender) report {
	t.Helper()
	seen := newResults()
	planned := openLoop(context.Background(), o.rps, o.duration, send, seen, func(time.Duration) {})
	return seen.report(o, planned)
}

func TestAStallDelaysAllRequestsThatWerePlannedMeanwhile(t *testing.T) {
	begun := time.Now()
	send := func(context.Context) answer {
		if stall := 300*time.Millisecond - time.Since(begun); stall > 0 {
			time.Sleep(stall)
		}
		return answer{version: "v1"}
	}
	got := measure(t, options{rps: 100, duration: 400 * time.Millisecond}, send)
	if got.Planned != 40 || got.OK != 40 {
		t.Fatalf("planned %d, served %d; want 40 of 40", got.Planned, got.OK)
	}
	if got.LatencyMS.P50 < 80 || got.LatencyMS.Max < 280 {
		t.Fatalf("a stall of 300 ms must show in the latencies: %+v", got.LatencyMS)
	}
}

func TestAServerThatClosesAReusedConnectionIsAFailedRequest(t *testing.T) {
	connections := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", "v1")
	}))
	server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections++
		}
		if state == http.StateActive && connections == 1 && r(c) > 1 {
			_ = c.Close()
		}
	}
	server.Start()
	defer server.Close()
	send, err := newSender(options{url: server.URL, timeout: time.Second, keepAlive: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := send(context.Background()); got.problem != "" || got.version != "v1" {
		t.Fatalf("first request: %+v", got)
	}
	if got := send(context.Background()); got.problem == "" {
		t.Fatalf("the second request's connection was closed under it, and it counted as served")
	}
}

var uses = map[net.Conn]int{}

func r(c net.Conn) int {
	uses[c]++
	return uses[c]
}

func TestFailuresAreCountedByVersionAndSecond(t *testing.T) {
	seen := newResults()
	at := time.Now()
	seen.start(at)
	seen.add(at, answer{version: "v1"})
	seen.add(at.Add(time.Second), answer{version: "v2", problem: "status 500"})
	got := seen.report(options{}, 2)
	if got.Failed != 1 || got.Versions["v2"].Failed != 1 || got.Errors["status 500"] != 1 {
		t.Fatalf("%+v", got)
	}
	if len(got.Seconds) != 2 || got.Seconds[1].Version != "v2" {
		t.Fatalf("%+v", got.Seconds)
	}
	if got.FirstFailureAt == nil || *got.FirstFailureAt != *got.LastFailureAt {
		t.Fatalf("one failure is the first and the last")
	}
}

func TestAPublicTargetIsRefused(t *testing.T) {
	if err := assertPlace("http://192.0.2.1/"); err == nil {
		t.Fatal("192.0.2.1 is nobody's test network")
	}
}
