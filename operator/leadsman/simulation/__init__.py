"""Simulation: releases that never happened, decided by the code that decides in the cluster.

Synthetic traffic becomes counters, blocks and readings; `core.decide` is asked after every scrape
and whenever it wants to be woken; what it wants done is done at once to a world of one pod an arm.
Everything is a function of terms, traffic and seed.
"""
