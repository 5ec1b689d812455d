"""The policies that `decide` asks in order, each a small named function on a View.

Each returns a Decision or None. The first that has something to do decides; one pass makes one
step. `decide.CHAIN` is the order.
"""
