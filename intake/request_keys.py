"""What makes a repeated request the same one: its key, whose key it is, and the digest of its body. Pure.

A key is the header ``Idempotency-Key`` or, without one, the ``prompt_id`` that the client chose; the two never meet, nor does
either meet a key of the Comfy API v2. It counts
for one principal; whoever only claims a name never meets the keys of the one whom a trusted proxy names so.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from ..jobs.errors import Conflict, Fault, InputInvalid, LimitExceeded
from ..jobs.model import JsonObject, Principal, RequestKey

HEADER = "Idempotency-Key"
MAX_LENGTH = 255
_VISIBLE = re.compile(rf"[\x21-\x7e]{{1,{MAX_LENGTH}}}")
_OF_HEADER = "key:"
_OF_ID = "id:"
_OF_CONTRACT = "v2:"
_TRUSTED = "trusted-"


def header_key(headers: Mapping[str, str], *, spaces: bool = False) -> str | None:
    """The header's value, or None without the header. Raises ``InputInvalid`` (400) for one that cannot be a key.

    ``headers`` knows names in any case, as a request's do. ``spaces``: they may stand in a key.
    """
    if HEADER not in headers:
        return None
    values = [value for name, value in headers.items() if name.lower() == HEADER.lower()]
    if len(values) > 1:
        raise _malformed(f"{HEADER} is sent {len(values)} times; send it once.")
    (value,) = values
    if not value:
        raise _malformed(f"{HEADER} is empty.")
    if len(value) > MAX_LENGTH:
        raise _malformed(f"{HEADER} has {len(value)} characters; it may have {MAX_LENGTH}.")
    if not _VISIBLE.fullmatch(value.replace(" ", "_") if spaces else value):
        raise _malformed(f"{HEADER} may hold visible ASCII characters only{'' if spaces else ', so no spaces'}.")
    return value


def request_key(principal: Principal, header: str | None, prompt_id: str | None, body: JsonObject) -> RequestKey | None:
    """The key of one request to submit, or None when the client gave neither header nor id.

    ``body`` is everything that the client sent, as it was parsed.
    """
    if header is not None:
        key = _OF_HEADER + header
    elif prompt_id is not None:
        key = _OF_ID + prompt_id
    else:
        return None
    return RequestKey(_TRUSTED + key if principal.trusted else key, fingerprint(body))


def single_use_key(principal: Principal, header: str) -> RequestKey:
    """The key of a request by the Comfy API v2, where a key counts once whatever the body: all such requests look the same."""
    key = _OF_CONTRACT + header
    return RequestKey(_TRUSTED + key if principal.trusted else key, "")


def fingerprint(body: JsonObject) -> str:
    """A digest of a parsed body: equal whatever the order of its fields and its white space, different for anything else.

    Raises ``LimitExceeded`` for a body that is nested too deeply to be written.
    """
    try:
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    except RecursionError as error:
        raise LimitExceeded("The body is nested too deeply.") from error
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def other_body(key: RequestKey, job_id: str) -> Conflict:
    """The refusal of a request whose key stands for a job of another body."""
    if key.key.removeprefix(_TRUSTED).startswith(_OF_ID):
        message = f"Job {job_id} is known already, and was submitted with another body."
    else:
        message = f"This {HEADER} was used with another body; it stands for job {job_id}."
    return Conflict(message, details={"job_id": job_id})


def _malformed(message: str) -> InputInvalid:
    fault = Fault("", InputInvalid.code, message, "A random UUID is a good key.", input_name=HEADER)
    return InputInvalid(message, faults=(fault,), malformed=True)
