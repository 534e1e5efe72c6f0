"""What went wrong with the shared store, as one sentence that says what to do. Owns the words, and the bridge from redis-py's
exceptions to ``StoreUnavailable``; does not decide what is tried again.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from redis import exceptions as redis_errors
from redis.sentinel import MasterNotFoundError

from ...jobs.errors import StoreUnavailable
from .address import Address

CLUSTER = "it is a Redis Cluster, which is not supported: use one server, or one with sentinels (redis+sentinel://)"

_FULL = "it is full (maxmemory): give it more memory, or let jobs be kept for a shorter time"
_NO_ANSWER = "it does not answer in time"
_ENDED = "it ended the connection (if it always does: does it speak TLS there? then rediss://)"
# By what the server says, first found.
_SAID = (
    ("NOAUTH", "it asks for a password and the address has none: redis://:password@host"),
    ("AUTHENTICATION REQUIRED", "it asks for a password and the address has none: redis://:password@host"),
    ("WITHOUT ANY PASSWORD CONFIGURED", "the address has a password and the server knows of none: leave it out"),
    ("CLUSTERDOWN", CLUSTER),
    ("CROSSSLOT", CLUSTER),
    ("-OOM ", _FULL),
    ("MISCONF", "it cannot write to its own disk, so it takes nothing (its log says why; is the disk full?)"),
    ("MASTERDOWN", "it is a replica that has lost its master"),
    ("BUSY", "it is busy with a script that has run for too long"),
    ("DB INDEX", "it has no database of that number"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS there: redis:// in place of rediss://, or its TLS port"),
    ("RECORD LAYER", "it does not speak TLS there: redis:// in place of rediss://, or its TLS port"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not believed: name the authority with ssl_ca_certs=/path"),
    ("HOSTNAME MISMATCH", "its certificate is for another name (ssl_check_hostname=false would let that pass)"),
    ("CERTIFICATE_REQUIRED", "it asks for a certificate of ours: ssl_certfile=/path and ssl_keyfile=/path"),
    ("CERTIFICATE REQUIRED", "it asks for a certificate of ours: ssl_certfile=/path and ssl_keyfile=/path"),
    (
        "EOF OCCURRED IN VIOLATION",
        "it ended the connection over TLS: perhaps it asks for our certificate (ssl_certfile, ssl_keyfile)",
    ),
    ("INVALID USERNAME OR PASSWORD", "it does not know this user and password"),
    ("NAME OR SERVICE NOT KNOWN", "there is no host of that name"),
    ("NAME RESOLUTION", "the name of its host cannot be looked up now"),
    ("REFUSED", "nobody listens there"),
    ("NO SUCH FILE", "there is no such socket"),
    ("RESET BY PEER", _ENDED),
    ("CLOSED BY SERVER", _ENDED),
)
# By kind, the first that fits; a subclass stands before its base.
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (redis_errors.MovedError, CLUSTER),
    (redis_errors.AskError, CLUSTER),
    (MasterNotFoundError, "no sentinel that could be asked knows a living master of that name"),
    (redis_errors.BusyLoadingError, "it is still loading its data"),
    (redis_errors.AuthenticationError, "it does not know this user and password"),
    (
        redis_errors.ReadOnlyError,
        "it is a replica and takes nothing: name the master, or the sentinels (redis+sentinel://)",
    ),
    (
        redis_errors.OutOfMemoryError,
        "it is full (maxmemory): give it more memory, or let jobs be kept for a shorter time",
    ),
    (redis_errors.NoPermissionError, "its rules (ACL) do not let this user do what is needed"),
    (redis_errors.TimeoutError, _NO_ANSWER),
)
_TELL_MORE = (redis_errors.NoPermissionError, MasterNotFoundError)


def sentence(why: str, address: Address | None = None) -> str:
    """The sentence; ``address`` for those who run the server and not for clients."""
    at = f" at {address}" if address else ""
    return f"The shared store{at} cannot be used: {why}."


def reason(error: BaseException, address: Address) -> str:
    """What went wrong, without secrets."""
    said = _text(error)
    known = next((words for word, words in _SAID if word in said.upper()), None)
    if known is None:
        known = next((words for kind, words in _KINDS if isinstance(error, kind)), None)
    if known is not None and not isinstance(error, _TELL_MORE):
        return f"{known} (does it speak TLS there?)" if known == _NO_ANSWER and address.tls else known
    return f"{known or 'an error'} ({_without_secrets(said, address)})"


def is_full(error: BaseException) -> bool:
    """Whether Redis takes nothing more; before version 7 a script only tells so in words."""
    return isinstance(error, redis_errors.OutOfMemoryError) or "-OOM " in str(error)


def unavailable(error: BaseException, address: Address, *, told: bool = False) -> StoreUnavailable:
    """The error that every verb raises when nothing was stored or found out. ``told``: with the address."""
    return StoreUnavailable(sentence(reason(error, address), address if told else None), retry_after_s=2)


@contextmanager
def translated(address: Address, *, told: bool = False) -> Generator[None, None, None]:
    """Whatever redis-py raises inside leaves as ``StoreUnavailable``."""
    try:
        yield
    except (redis_errors.RedisError, redis_errors.RedisClusterException, OSError) as error:
        raise unavailable(error, address, told=told) from error


def _text(error: BaseException) -> str:
    """With its causes: what TLS has to say is not in the outermost."""
    texts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(texts) < 5:  # noqa: PLR2004 - a loop of causes ends somewhere
        texts.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    return " ".join(texts)


def _without_secrets(text: str, address: Address) -> str:
    for login in (address.login, address.sentinel_login):
        for secret in (login.password, login.username):
            text = text.replace(secret, "***") if secret else text
    return text
