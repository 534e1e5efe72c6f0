"""Where results lie in a bucket on their way home, and the letter that tells the origin of them. Pure.

``bytes/<origin>/<job id>/<mark>`` has the bytes of a file, ``letters/<origin>/<job id>/<mark>`` its offer, as JSON; the mark is made of who
made it, its name and its hash, so no two files have the same. A letter is written after its bytes and removed after them. Owns these
names and this form; does not own the bucket.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, cast

from .errors import InputInvalid
from .homing import job_subfolder
from .leftovers import FileName
from .parcels import Offer, offer_fields, offer_from

LETTER_MAX_BYTES = 64 * 1024
_BYTES, _LETTERS = "bytes", "letters"


def bytes_key(origin: str, offer: Offer) -> str:
    """Where the bytes are."""
    return f"{_BYTES}/{origin}/{_tail(offer)}"


def letter_key(origin: str, offer: Offer) -> str:
    """Where the letter is."""
    return f"{_LETTERS}/{origin}/{_tail(offer)}"


def letters_to(origin: str, job_id: str | None = None) -> str:
    """How the keys of all letters to an instance begin, or of those about one job."""
    return f"{_LETTERS}/{origin}/" + (f"{job_id}/" if job_id else "")


def bytes_for(origin: str) -> str:
    """How the keys of all bytes for an instance begin."""
    return f"{_BYTES}/{origin}/"


def letter_of_bytes(key: str) -> str:
    """The key of the letter that tells of these bytes."""
    return _LETTERS + key[len(_BYTES) :]


def written(offer: Offer) -> bytes:
    """A letter."""
    return json.dumps(offer_fields(offer)).encode("ascii")


def read(letter: bytes) -> Offer:
    """What ``written`` made. Raises ``InputInvalid``."""
    try:
        fields: Any = json.loads(letter)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise InputInvalid("A letter must be a JSON object.")
    return offer_from(cast("dict[str, Any]", fields))


def own_place(offer: Offer) -> FileName:
    """The file's name at home in the folder of its job, where nothing else can be."""
    return offer.file._replace(subfolder=job_subfolder(offer.instance, offer.job_id, offer.file.subfolder))


def _tail(offer: Offer) -> str:
    told = "\0".join((offer.instance, *offer.file, offer.digest)).encode("utf-8", "surrogatepass")
    return f"{offer.job_id}/{hashlib.blake2b(told, digest_size=20).hexdigest()}"
