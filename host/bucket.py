"""A bucket that speaks S3: puts, gets, lists, removes. The one place that knows the library for it (the extra ``s3``).

Region, endpoint and credentials come from the usual environment variables, which the library reads; nothing of what a server answers is
told further but its error's code, for such answers repeat keys. Owns the last fault, for ``/expeditor/health``. Does not own what the
objects are (``jobs.letters``). Coroutines of one object are used on one event loop.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from .peers import PeerAway

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store

EXTRA = "obstore>=0.9,<0.13"
"""The extra ``s3`` of pyproject.toml; a test holds the two together."""
SCHEME = "s3://"
CONNECT_S = 5.0
REQUEST_S = 120.0
RETRIED_S = 10.0
PARTS_AT_ONCE = 4
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")


class BucketAway(PeerAway):
    """The bucket cannot be reached, refuses, is full or is not there; to be tried again."""


class NotThere(Exception):
    """The bucket has no such object."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object of a list. ``changed_at`` is the bucket's time."""

    key: str
    size_bytes: int
    changed_at: datetime


class Bucket:
    """See the module's docstring. Every verb raises ``BucketAway``."""

    def __init__(self, address: str) -> None:
        """``address`` is ``s3://bucket`` or ``s3://bucket/prefix``. Speaks with nobody yet; ``ImportError`` without the extra."""
        from obstore.store import S3Store

        bucket, _, prefix = address[len(SCHEME) :].partition("/")
        self.address = address
        self.error: str | None = None
        """Why it could not be used the last time; None: it could."""
        self._store: S3Store = S3Store(
            bucket,
            prefix=prefix.strip("/") or None,
            client_options={
                "allow_http": _endpoint().startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "timeout": timedelta(seconds=REQUEST_S),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=RETRIED_S)},
        )

    async def put(self, key: str, content: bytes | Path) -> None:
        """Write an object, whole or not at all."""
        with self._told("written"):
            await self._store.put_async(key, content, max_concurrency=PARTS_AT_ONCE)

    async def get(self, key: str, start: int, end: int) -> bytes:
        """Its bytes from ``start`` to before ``end``. Raises ``NotThere``."""
        with self._told("read"):
            return bytes(await self._store.get_range_async(key, start=start, end=end))

    async def whole(self, key: str, most_bytes: int) -> bytes:
        """All bytes of a small object, but at most so many. Raises ``NotThere``."""
        with self._told("read"):
            found = await self._store.get_async(key)
            return bytes(await found.bytes_async()) if found.meta["size"] <= most_bytes else b""

    async def list(self, beginning: str) -> AsyncIterator[Listed]:
        """The objects whose keys begin so."""
        with self._told("listed"):
            # The other form that this can have needs a library which is not there, and its type is unknown.
            batches = cast("AsyncIterator[Sequence[ObjectMeta]]", self._store.list(beginning))  # pyright: ignore[reportUnknownMemberType]
            async for batch in batches:
                for one in batch:
                    yield Listed(one["path"], one["size"], one["last_modified"])

    async def remove(self, key: str) -> None:
        """Remove an object; one that is not there is removed."""
        with self._told("changed"):
            await self._store.delete_async(key)

    @contextmanager
    def _told(self, verb: str) -> Generator[None, None, None]:
        try:
            yield
        except Exception as fault:  # noqa: BLE001 - the library's errors are of many kinds, and all mean that it was not done
            if isinstance(fault, FileNotFoundError) and "NoSuchBucket" not in str(fault):
                raise NotThere(verb) from None
            # From None: what the library says repeats the server's answer, which may have the key in it.
            self.error = f"{self.address} cannot be {verb}: {_said(fault)}."
            raise BucketAway(self.error) from None
        self.error = None


def missing_extra() -> str | None:
    """What to do about it where the library is not installed, in one sentence."""
    # In a process that was told of a module that it may not import, looking for it is an error.
    with suppress(ValueError):
        if find_spec("obstore") is not None:
            return None
    return f"Setting results: a bucket needs the extra s3, and obstore is not installed: pip install '{EXTRA}'"


def _endpoint() -> str:
    named = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((os.environ[name] for name in named if os.environ.get(name)), "")


def _said(fault: Exception) -> str:
    text = str(fault)
    code, status = _CODE.search(text), _STATUS.search(text)
    if code is not None:
        return f"the server says {code[1]}"
    if status is not None:
        return f"the server answers {status[1]}"
    # Without a name and password that the address may have.
    server = urlsplit(_endpoint()).netloc.rpartition("@")[2] or "AWS"
    return f"no answer from {server} ({type(fault).__name__}); are endpoint and credentials right?"
