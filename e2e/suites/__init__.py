"""The end-to-end suites: one file a theme, each test a promise on a real cluster."""
