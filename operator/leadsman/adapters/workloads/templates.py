"""Pod templates: when two are the same version, and the short name of one.

The comparison is the one that Kubernetes makes for a Deployment: the stored template without the
label pod-template-hash. The short name is made from that same stored JSON, never from decoded
structures, so that a newer library or operator does not see a new version where there is none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from leadsman.ports import Body

HASH_LABEL = "pod-template-hash"
SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own letters for generated names: none that spells a word, none to confuse."""
HASH_LENGTH = 10


def bare(template: Mapping[str, Any]) -> Body:
    """Return the template without pod-template-hash and without a null creationTimestamp."""
    metadata = dict(template.get("metadata") or {})
    if metadata.get("creationTimestamp", "") is None:
        del metadata["creationTimestamp"]
    labels = dict(metadata.get("labels") or {})
    labels.pop(HASH_LABEL, None)
    metadata["labels"] = labels
    return {**template, "metadata": metadata}


def same_template(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two stored templates are the same version."""
    return bare(one) == bare(other)


def template_hash(template: Mapping[str, Any]) -> str:
    """Return the short name of a template's version.

    A frozen format, since status keeps it across upgrades: SHA-256 over the JSON of the template
    (less what `bare` removes) with sorted keys, no spaces and ASCII escapes; from the digest, as
    one big-endian number, ten digits in base 27 from the least significant on, each written as
    that letter of `SAFE_ALPHABET`.
    """
    text = json.dumps(bare(template), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    letters = []
    for _ in range(HASH_LENGTH):
        number, digit = divmod(number, len(SAFE_ALPHABET))
        letters.append(SAFE_ALPHABET[digit])
    return "".join(letters)
