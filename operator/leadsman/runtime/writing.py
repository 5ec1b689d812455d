"""Single writes, and what follows from each: the answer goes where the next pass reads.

A patch without operations is no write. A conflict, and an answer that was lost, are followed by one
read of the object, so that the next decision is made from what is there now.
"""

from __future__ import annotations

from contextlib import suppress

import structlog

from leadsman.adapters.workloads.arms import is_ours
from leadsman.adapters.workloads.managed_fields import forget_patch
from leadsman.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    NotFoundError,
)
from leadsman.ports import DEPLOYMENT, FIELD_MANAGER, ROLLOUT, Body, JsonPatch, Kind, Kube, Ref
from leadsman.runtime.reader import Reader
from leadsman.runtime.store import OwnStore

DISOWN_TRIES = 3
log = structlog.get_logger(__name__)


class Writer:
    """Writes through the Kube port, and keeps the reader and the store up to date."""

    def __init__(self, kube: Kube, store: OwnStore, reader: Reader) -> None:
        """Deployments and our own kinds are in `store`, everything else in `reader`."""
        self._kube = kube
        self._store = store
        self._reader = reader

    async def patch(
        self, kind: Kind, body: Body, operations: JsonPatch, *, subresource: str = ""
    ) -> Body:
        """Patch an object and return it as stored; without operations return `body`.

        Raises ApiError; before ConflictError the object has been read anew.
        """
        if not operations:
            return body
        ref = _ref(kind, body)
        try:
            answer = await self._kube.patch(ref, operations, subresource=subresource)
        except NotFoundError:
            self._gone(ref, body)
            raise
        except ConflictError:
            await self.refresh(ref, body)
            raise
        self.took(kind, answer)
        return answer

    async def create(self, kind: Kind, body: Body, rollout: Body) -> Body:
        """Create an object that `rollout` controls; one of ours that is there already will do.

        Raises ConflictError when the name belongs to somebody else or to one that is going.
        """
        about = body["metadata"]
        ref = Ref(kind, about["namespace"], about["name"])
        try:
            answer = await self._kube.create(kind, ref.namespace, body)
        except AlreadyExistsError:
            answer = await self._kube.get(ref)
            self.took(kind, answer)
            if not is_ours(answer, rollout["metadata"]["uid"]):
                raise ConflictError(
                    409, "Conflict", f"{kind.kind} {ref.name} belongs to somebody else"
                ) from None
            if "deletionTimestamp" in answer["metadata"]:
                raise ConflictError(
                    409, "Conflict", f"{kind.kind} {ref.name} is still being deleted"
                ) from None
            return answer
        self.took(kind, answer)
        return answer

    async def make(self, kind: Kind, body: Body) -> Body:
        """Create an object that nobody controls. Raises ConflictError when the name is taken."""
        about = body["metadata"]
        try:
            answer = await self._kube.create(kind, about["namespace"], body)
        except AlreadyExistsError as error:
            await self.refresh(Ref(kind, about["namespace"], about["name"]))
            raise ConflictError(409, "Conflict", error.message) from None
        self.took(kind, answer)
        return answer

    async def delete(self, ref: Ref, *, uid: str) -> None:
        """Delete an object if it is still that one; gone is as good. Raises ApiError."""
        with suppress(NotFoundError):
            await self._kube.delete(ref, uid=uid)
        self._reader.deleted(ref.kind, ref.namespace, ref.name, uid)

    async def disown(self, kind: Kind, body: Body, *path: str) -> None:
        """Drop our ownership of a field in the wake of putting it back; best effort.

        Nothing depends on it but a later server-side apply of the user's, so a refusal never
        undoes what was done.
        """
        for _ in range(DISOWN_TRIES):
            operations = forget_patch(body, FIELD_MANAGER, *path)
            if not operations:
                return
            try:
                answer = await self._kube.patch(_ref(kind, body), operations)
            except ConflictError:
                try:
                    body = await self._kube.get(_ref(kind, body))
                except ApiError:
                    return
                continue
            except ApiError as error:
                log.info("not disowned", kind=kind.kind, reason=error.reason)
                return
            self.took(kind, answer)
            return

    def took(self, kind: Kind, body: Body) -> None:
        """Put an object where the next pass reads it."""
        if kind in (DEPLOYMENT, ROLLOUT):
            self._store.observe_write(kind, body)
        else:
            self._reader.wrote(kind, body)

    async def refresh(self, ref: Ref, body: Body | None = None) -> None:
        """Read an object anew; what cannot be read now is left to the next event."""
        try:
            self.took(ref.kind, await self._kube.get(ref))
        except NotFoundError:
            if body is not None:
                self._gone(ref, body)
        except ApiError as error:
            log.info("not refreshed", kind=ref.kind.kind, reason=error.reason)

    def _gone(self, ref: Ref, body: Body) -> None:
        if ref.kind in (DEPLOYMENT, ROLLOUT):
            self._store.observe(ref.kind, body, deleted=True)
        else:
            uid = str(body["metadata"].get("uid", ""))
            self._reader.deleted(ref.kind, ref.namespace, ref.name, uid)


def _ref(kind: Kind, body: Body) -> Ref:
    about = body["metadata"]
    return Ref(kind, about.get("namespace", ""), about["name"])
