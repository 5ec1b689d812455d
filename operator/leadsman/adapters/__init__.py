"""The ports' real implementations: one file a provider, nothing that decides."""
