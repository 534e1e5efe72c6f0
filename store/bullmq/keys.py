"""The names of everything that a shared queue keeps in Redis, and how jobs are named there.

Owns names alone. All of one queue has one hash tag, so that a Redis Cluster keeps it in one place.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ...jobs.model import Job, JobStatus

_TEXT = b"="
_UUID_LENGTH = 36


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one namespace."""

    namespace: str

    def __call__(self, name: str) -> str:
        """The key of what is called so."""
        return f"{{{self.namespace}}}:{name}"

    def ended_in(self, status: JobStatus) -> str:
        """Jobs that ended so, by their end."""
        return self(f"ended:{status.value}")

    def index(self, kind: str, value: str) -> str:
        """Ended jobs by ``seq`` that have something in common. ``kind`` is one letter; the value becomes a short digest."""
        digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
        return self(f"by:{kind}:{digest}")

    def queue(self, pool: str) -> str:
        """What all keys of a pool's BullMQ queue begin with."""
        return self(f"bull:{pool}:")

    def lock(self, job: Job) -> str:
        """The key that is there while a job's lease is."""
        return f"{self.queue(job.pool)}{bull_id(job.seq)}:lock"


def bull_id(seq: int) -> str:
    """A job's id in BullMQ: short, as it stands in so many places. Never a bare number: those BullMQ gives out itself."""
    return f"j{seq}"


def token_of(boot_id: str, attempt: int) -> str:
    """What a lease holds: whose it is and for which attempt."""
    return f"{boot_id}#{attempt}"


def key_of_id(job_id: str) -> bytes:
    """A job's id as short as it can be: the 16 bytes of a UUID, else its text with a mark before it."""
    if len(job_id) == _UUID_LENGTH and job_id[8] == job_id[13] == job_id[18] == job_id[23] == "-":
        plain = job_id.replace("-", "")
        try:
            short = bytes.fromhex(plain)
        except ValueError:
            short = b""
        if len(plain) == 2 * len(short) and short.hex() == plain and len(short) == 16 and not short.startswith(_TEXT):  # noqa: PLR2004
            return short
    return _TEXT + job_id.encode("utf-8", "surrogatepass")


def id_of_key(key: bytes) -> str:
    """The id again."""
    if len(key) != 16 or key.startswith(_TEXT):  # noqa: PLR2004 - a UUID that begins with the mark is kept as text
        return key[1:].decode("utf-8", "surrogatepass")
    text = key.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def stub_of(job: Job, key: bytes | None = None) -> bytes:
    """A job in a set that is sorted by time: ties go by ``seq``. ``key``: the job's, where it is known."""
    return job.seq.to_bytes(6, "big") + (key_of_id(job.id) if key is None else key)


def key_of_stub(stub: bytes) -> bytes:
    """The job's key in a stub."""
    return stub[6:]


def mark_of(job_id: str) -> bytes:
    """What is remembered of a pruned id."""
    return hashlib.blake2b(job_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
