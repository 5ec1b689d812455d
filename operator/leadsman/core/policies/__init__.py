"""The policies that `decide` asks in order; each is a small named function `View -> Decision | None`.

The first that has something to do decides; one pass makes one step. `decide.CHAIN` is the order.
"""
