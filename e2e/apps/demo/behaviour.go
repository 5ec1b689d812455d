package main

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
)

// behaviour is how this pod misbehaves; the environment sets it at the start, POST /admin later.
type behaviour struct {
	mu        sync.RWMutex
	errorRate float64       // share of user requests answered with 500, 0..1
	latency   time.Duration // added to each user request
	ready     bool
	readyAt   time.Time
}

// environment is what only the start can set.
type environment struct {
	version      string
	pod          string
	startupDelay time.Duration // before anything listens
	crashAfter   time.Duration // after the start; 0: never
	exitCode     int
}

func fromEnvironment() (*behaviour, environment, error) {
	var failed error
	number := func(name string, fallback float64) float64 {
		text := os.Getenv(name)
		if text == "" {
			return fallback
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			failed = fmt.Errorf("%s=%q is not a number", name, text)
		}
		return value
	}
	text := func(name, fallback string) string {
		if value := os.Getenv(name); value != "" {
			return value
		}
		return fallback
	}
	milliseconds := func(name string) time.Duration {
		return time.Duration(number(name, 0) * float64(time.Millisecond))
	}
	host, _ := os.Hostname()
	acts := &behaviour{errorRate: number("ERROR_RATE", 0), latency: milliseconds("LATENCY_MS"), ready: true}
	// READY_AFTER_MS below zero: never ready.
	if after := milliseconds("READY_AFTER_MS"); after < 0 {
		acts.ready = false
	} else {
		acts.readyAt = time.Now().Add(after)
	}
	fixed := environment{
		version:      text("VERSION", "unknown"),
		pod:          text("POD_NAME", host),
		startupDelay: milliseconds("STARTUP_DELAY_MS"),
		crashAfter:   milliseconds("CRASH_AFTER_MS"),
		exitCode:     int(number("EXIT_CODE", 1)),
	}
	if acts.errorRate < 0 || acts.errorRate > 1 {
		failed = fmt.Errorf("ERROR_RATE=%v is not a share in 0..1", acts.errorRate)
	}
	return acts, fixed, failed
}

// draw returns what the next user request gets: the time to wait and whether it fails.
func (b *behaviour) draw() (wait time.Duration, fail bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.latency, b.errorRate > 0 && rand.Float64() < b.errorRate
}

func (b *behaviour) isReady() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.ready && !time.Now().Before(b.readyAt)
}

// change takes the parameters of POST /admin; nothing is changed when one of them is wrong.
func (b *behaviour) change(query url.Values) (exit *int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	errorRate, latency, ready, readyAt := b.errorRate, b.latency, b.ready, b.readyAt
	for name := range query {
		value := query.Get(name)
		switch name {
		case "errorRate":
			if errorRate, err = strconv.ParseFloat(value, 64); err != nil || errorRate < 0 || errorRate > 1 {
				return nil, fmt.Errorf("errorRate=%q is not a share in 0..1", value)
			}
		case "latencyMs":
			milliseconds, err := strconv.Atoi(value)
			if err != nil || milliseconds < 0 {
				return nil, fmt.Errorf("latencyMs=%q is not a count of milliseconds", value)
			}
			latency = time.Duration(milliseconds) * time.Millisecond
		case "ready":
			if ready, err = strconv.ParseBool(value); err != nil {
				return nil, fmt.Errorf("ready=%q is neither true nor false", value)
			}
			readyAt = time.Time{}
		case "exit":
			code, err := strconv.Atoi(value)
			if err != nil {
				return nil, fmt.Errorf("exit=%q is not an exit code", value)
			}
			exit = &code
		default:
			return nil, fmt.Errorf("unknown parameter %q: errorRate, latencyMs, ready, exit", name)
		}
	}
	b.errorRate, b.latency, b.ready, b.readyAt = errorRate, latency, ready, readyAt
	return exit, nil
}
