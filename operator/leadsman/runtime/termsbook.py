"""The frozen terms of attempts: written once into a ControllerRevision, read once, remembered.

A ControllerRevision cannot be changed, so what was read once stays true until it is deleted.
"""

from __future__ import annotations

from leadsman.adapters.workloads.arms import is_ours
from leadsman.adapters.workloads.deployment_moves import rollout_reference
from leadsman.core.record import MalformedError, decode, encode
from leadsman.core.spec import Problem, Terms
from leadsman.errors import AlreadyExistsError, ApiError, ConflictError, NotFoundError
from leadsman.ports import CONTROLLERREVISION, Body, Kube, Ref


class TermsBook:
    """Reads and writes the terms of attempts."""

    def __init__(self, kube: Kube) -> None:
        """Reads and writes through `kube`."""
        self._kube = kube
        self._known: dict[tuple[str, str], Terms] = {}

    async def read(
        self, namespace: str, name: str, rollout: Body
    ) -> tuple[Terms | None, Problem | None]:
        """Return an attempt's terms, None when they are not recorded or not readable.

        The Problem says that the API could not be asked.
        """
        known = self._known.get((namespace, name))
        if known is not None or not name:
            return known, None
        try:
            body = await self._kube.get(Ref(CONTROLLERREVISION, namespace, name))
        except NotFoundError:
            return None, None
        except ApiError as error:
            return None, Problem(CONTROLLERREVISION.kind, str(error))
        terms = _terms(body) if is_ours(body, rollout["metadata"]["uid"]) else None
        if terms is not None:
            self._known[(namespace, name)] = terms
        return terms, None

    async def write(self, name: str, terms: Terms, rollout: Body) -> None:
        """Record the terms. Raises ApiError.

        What is there already counts, if it is ours and readable: that is a restart. What is not
        readable is written anew.
        """
        namespace = rollout["metadata"]["namespace"]
        ref = Ref(CONTROLLERREVISION, namespace, name)
        body: Body = {
            "apiVersion": CONTROLLERREVISION.api_version,
            "kind": CONTROLLERREVISION.kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "ownerReferences": [rollout_reference(rollout)],
            },
            "data": encode(terms),
            "revision": 1,
        }
        try:
            await self._kube.create(CONTROLLERREVISION, namespace, body)
        except AlreadyExistsError:
            found = await self._kube.get(ref)
            if not is_ours(found, rollout["metadata"]["uid"]):
                raise ConflictError(
                    409, "Conflict", f"ControllerRevision {name} belongs to somebody else"
                ) from None
            stored = _terms(found)
            if stored is None:
                await self._kube.delete(ref, uid=str(found["metadata"].get("uid", "")))
                await self._kube.create(CONTROLLERREVISION, namespace, body)
            else:
                terms = stored
        self._known[(namespace, name)] = terms

    async def drop(self, namespace: str, name: str) -> None:
        """Delete the terms of an attempt that is over. Raises ApiError."""
        self._known.pop((namespace, name), None)
        try:
            await self._kube.delete(Ref(CONTROLLERREVISION, namespace, name))
        except NotFoundError:
            return


def _terms(body: Body) -> Terms | None:
    try:
        return decode(Terms, body.get("data"))
    except MalformedError:
        return None
