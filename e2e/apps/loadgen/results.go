package main

import (
	"slices"
	"sync"
	"time"
)

type tally struct {
	OK     int `json:"ok"`
	Failed int `json:"failed"`
}

func (t *tally) count(served bool) {
	if served {
		t.OK++
	} else {
		t.Failed++
	}
}

type quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

type versionReport struct {
	tally
	LatencyMS quantiles `json:"latency_ms"`
}

// second is what became of the requests planned in one second of wall time, by version.
type second struct {
	T       int64  `json:"t"` // Unix seconds
	Version string `json:"version"`
	tally
}

type report struct {
	URL            string                   `json:"url"`
	Host           string                   `json:"host"`
	RPS            float64                  `json:"rps"`
	StartedAt      float64                  `json:"started_at"` // Unix seconds, as all moments
	EndedAt        float64                  `json:"ended_at"`
	Planned        int                      `json:"planned"`
	OK             int                      `json:"ok"`
	Failed         int                      `json:"failed"`
	FirstFailureAt *float64                 `json:"first_failure_at"` // planned moment; null: none failed
	LastFailureAt  *float64                 `json:"last_failure_at"`
	Errors         map[string]int           `json:"errors"`
	LatencyMS      quantiles                `json:"latency_ms"`
	Versions       map[string]versionReport `json:"versions"` // "" : failed before any version answered
	Pods           map[string]*tally        `json:"pods"`
	Seconds        []second                 `json:"seconds"`
}

type key struct {
	t       int64
	version string
}

type results struct {
	mu        sync.Mutex
	startedAt time.Time
	total     tally
	first     time.Time
	last      time.Time
	errors    map[string]int
	latencies map[string][]float64 // milliseconds by version
	versions  map[string]*tally
	pods      map[string]*tally
	seconds   map[key]*tally
}

func newResults() *results {
	return &results{
		errors: map[string]int{}, latencies: map[string][]float64{}, versions: map[string]*tally{},
		pods: map[string]*tally{}, seconds: map[key]*tally{},
	}
}

func (r *results) start(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startedAt = at
}

func (r *results) add(planned time.Time, seen answer) {
	latency := float64(time.Since(planned)) / float64(time.Millisecond)
	served := seen.problem == ""
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total.count(served)
	at(r.versions, seen.version).count(served)
	at(r.seconds, key{planned.Unix(), seen.version}).count(served)
	if seen.pod != "" {
		at(r.pods, seen.pod).count(served)
	}
	r.latencies[seen.version] = append(r.latencies[seen.version], latency)
	if served {
		return
	}
	r.errors[seen.problem]++
	if r.first.IsZero() || planned.Before(r.first) {
		r.first = planned
	}
	if planned.After(r.last) {
		r.last = planned
	}
}

func at[K comparable](tallies map[K]*tally, name K) *tally {
	found := tallies[name]
	if found == nil {
		found = new(tally)
		tallies[name] = found
	}
	return found
}

// progress is the state so far: totals by version since the start.
func (r *results) progress(elapsed time.Duration) map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	versions := map[string]tally{}
	for name, counted := range r.versions {
		versions[name] = *counted
	}
	return map[string]any{
		"elapsed": elapsed.Seconds(), "ok": r.total.OK, "failed": r.total.Failed, "versions": versions,
	}
}

func (r *results) report(o options, planned int) report {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := report{
		URL: o.url, Host: o.host, RPS: o.rps, StartedAt: unix(r.startedAt), EndedAt: unix(time.Now()),
		Planned: planned, OK: r.total.OK, Failed: r.total.Failed, Errors: r.errors, Pods: r.pods,
		Versions: map[string]versionReport{}, Seconds: []second{},
	}
	if !r.first.IsZero() {
		first, last := unix(r.first), unix(r.last)
		told.FirstFailureAt, told.LastFailureAt = &first, &last
	}
	var all []float64
	for name, counted := range r.versions {
		told.Versions[name] = versionReport{*counted, summary(r.latencies[name])}
		all = append(all, r.latencies[name]...)
	}
	told.LatencyMS = summary(all)
	for when, counted := range r.seconds {
		told.Seconds = append(told.Seconds, second{when.t, when.version, *counted})
	}
	slices.SortFunc(told.Seconds, func(a, b second) int {
		if a.T != b.T {
			return int(a.T - b.T)
		}
		if a.Version < b.Version {
			return -1
		}
		return 1
	})
	return told
}

func unix(at time.Time) float64 { return float64(at.UnixMicro()) / 1e6 }

// summary returns nearest-rank quantiles; zeros for no values.
func summary(values []float64) quantiles {
	if len(values) == 0 {
		return quantiles{}
	}
	slices.Sort(values)
	rank := func(share float64) float64 {
		return values[min(len(values)-1, int(share*float64(len(values))))]
	}
	return quantiles{P50: rank(0.5), P95: rank(0.95), P99: rank(0.99), Max: values[len(values)-1]}
}
