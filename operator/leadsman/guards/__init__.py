"""Guards: how raw counter samples become a verdict.

Pure and total: the standard library only, no clock, no I/O, no randomness. Times are arguments, and
what is missing or wrong is a value. `counters` turns samples into increments, `windows` sums them,
`judges` compares them with a limit, `verdict` holds the words.
"""
