"""The pure core: what is decided, and why.

`decide(spec, status, seen, now)` is the one entrance. Nothing here reads a clock, draws a number,
waits or talks to anything; the same arguments give the same decision on every machine.
"""
