"""From a guard's question to the series that answer it: one module a way of asking."""
