package main

import (
	"context"
	"sync"
	"time"
)

// maxInFlight bounds memory when nothing answers any more; what is beyond it counts as failed.
const maxInFlight = 20000

// openLoop sends at start, start + 1/rps, ... and returns how many were planned. A request's latency
// counts from its planned moment, so a stall of server or sender is seen by all it delayed. When `end`
// is done nothing more is sent; what is in flight is waited for (each has its own time limit).
func openLoop(
	end context.Context, rps float64, duration time.Duration, send sender, results *results, tick func(time.Duration),
) (planned int) {
	start := time.Now()
	results.start(start)
	gap := time.Duration(float64(time.Second) / rps)
	var flying sync.WaitGroup
	slots := make(chan struct{}, maxInFlight)
	seconds := time.NewTicker(time.Second)
	defer seconds.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		at := start.Add(time.Duration(planned) * gap)
		if at.Sub(start) >= duration {
			break
		}
		if !sleepUntil(end, at, timer, seconds.C, func() { tick(time.Since(start)) }) {
			break
		}
		planned++
		select {
		case slots <- struct{}{}:
		default:
			results.add(at, answer{problem: "too many in flight"})
			continue
		}
		flying.Add(1)
		go func() {
			defer flying.Done()
			seen := send(context.Background())
			results.add(at, seen)
			<-slots
		}()
	}
	flying.Wait()
	tick(time.Since(start))
	return planned
}

// sleepUntil returns false when `end` is done before `at`.
func sleepUntil(end context.Context, at time.Time, timer *time.Timer, seconds <-chan time.Time, tick func()) bool {
	timer.Reset(time.Until(at))
	for {
		select {
		case <-end.Done():
			return false
		case <-seconds:
			tick()
		case <-timer.C:
			return true
		}
	}
}
