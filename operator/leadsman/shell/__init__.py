"""The process: kopf's watch events in, our own tasks beside it, a clean end on SIGTERM."""
