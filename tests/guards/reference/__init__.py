"""Reference implementations: what the engine is compared with, and what it was chosen over.

Each formula is written from its publication, in the plainest form and with the special functions
of scipy, and shares nothing with `leadsman.guards`. They are slow, they are not hardened against
bad numbers, and nothing but tests may import them.
"""
