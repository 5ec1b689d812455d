"""End-to-end: a real cluster, a demo app, a load generator, and the suites that use them."""
