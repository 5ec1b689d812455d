"""The custom resources: one module a kind, and the schemas generated from them.

The models are the one source: the CustomResourceDefinitions, the reference in `docs/reference` and
the operator's own reading all come from them.
"""
