"""Routers: one file a provider, pure functions on the provider's objects.

A router reads rules and builds JSON Patches; it never talks to anything. That keeps every write of
a release visible as a value, to be compared with what it may touch.
"""
