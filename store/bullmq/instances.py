"""``store.instances.InstanceRegistry`` on a shared Redis. All times are Redis' own.

Owns how instances are kept there and the thread that asks. Members of other versions read what they know of each other's facts
and leave out the rest.
"""

from __future__ import annotations

import json
import logging
import secrets
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar, cast

from ...jobs.errors import Conflict, NotFound
from ...jobs.instances import Capabilities, Device, Instance, InstanceState, Role
from ..instances import FORGOTTEN_AFTER_S, GONE_AFTER_S, WISHED
from ..relay import Relay
from .connections import Connections
from .outage import translated

T = TypeVar("T")

_log = logging.getLogger("expeditor.store")

_SECRET_BYTES = 32


class BullmqInstances:
    """See the module's docstring. Verbs are done one after the other, in the order in which they were asked."""

    def __init__(self, connections: Connections, namespace: str, relay: Relay | None = None) -> None:
        """``relay``: tells an instance at once what is wished of it. Connects nothing yet."""
        self._address = connections.address
        self._client: Any = connections.prompt("instances", decode=False)
        self._script: Any = self._client.register_script(_own_script())
        self._relay = relay
        self._names, self._capabilities = f"{{{namespace}}}:instances", f"{{{namespace}}}:capabilities"
        self._prefix, self._secret = f"{{{namespace}}}:instance:", f"{{{namespace}}}:secret"
        self._last: dict[str, Capabilities] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="expeditor-instances")

    def announce(self, instance: Instance, capabilities: Capabilities | None = None) -> Future[InstanceState]:
        """See the contract. They are kept once by their mark, however many instances have the same, and sent again if Redis lost them."""
        return self._asked(lambda: self._announce(instance, capabilities))

    def leave(self, name: str, boot_id: str) -> Future[None]:
        """See the contract."""
        return self._asked(lambda: self._leave(name, boot_id))

    def instances(self) -> Future[tuple[Instance, ...]]:
        """See the contract."""
        return self._asked(self._instances)

    def capabilities(self, name: str) -> Future[Capabilities | None]:
        """See the contract."""
        return self._asked(lambda: self._capabilities_of(name))

    def wish(self, name: str, state: InstanceState) -> Future[Instance]:
        """See the contract."""
        return self._asked(lambda: self._wish(name, state))

    def secret(self) -> Future[str]:
        """See the contract."""
        return self._asked(self._secret_text)

    def close(self) -> None:
        """Let the thread end once what was asked is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _asked(self, verb: Callable[[], T]) -> Future[T]:
        return self._thread.submit(self._translated, verb)

    def _translated(self, verb: Callable[[], T]) -> T:
        with translated(self._address):
            return verb()

    def _run(self, what: str, *given: Any) -> Any:
        return self._script(keys=[self._names, self._capabilities], args=[what, self._prefix, *given])

    def _announce(self, instance: Instance, capabilities: Capabilities | None) -> InstanceState:
        mark = instance.capabilities_mark
        if capabilities is not None:
            self._last = {mark: capabilities}
        said, wish, missing = self._told(instance, b"")
        if said == b"taken":
            raise Conflict(
                f"Another living instance is called {instance.name} ({wish.decode()}): give one of them another name."
            )
        if missing and mark in self._last:
            self._told(instance, _packed(self._last[mark]))
        return InstanceState(wish.decode()) if wish else InstanceState.ACTIVE

    def _told(self, instance: Instance, blob: bytes) -> tuple[bytes, bytes, bytes]:
        mark, facts = instance.capabilities_mark, json.dumps(asdict(instance))
        bounds = (GONE_AFTER_S, int(FORGOTTEN_AFTER_S))
        return self._run("announce", instance.name, instance.boot_id, facts, mark, blob, *bounds)

    def _leave(self, name: str, boot_id: str) -> None:
        self._run("leave", name, boot_id)

    def _instances(self) -> tuple[Instance, ...]:
        now_s, *found = self._run("list")
        read = (_readable(one, float(now_s)) for one in found)
        return tuple(sorted((one for one in read if one is not None), key=lambda one: one.name))

    def _capabilities_of(self, name: str) -> Capabilities | None:
        mark = self._client.hget(self._prefix + name, "mark")
        blob = self._client.hget(self._capabilities, mark) if mark else None
        return _unpacked(blob) if blob else None

    def _wish(self, name: str, state: InstanceState) -> Instance:
        found = self._run("wish", name, state.value)
        if not found:
            raise NotFound(f"There is no instance called {name}.")
        now_s, one = found
        if self._relay is not None:
            self._relay.send(name, WISHED, state.value.encode())
        return _instance(one, float(now_s))

    def _secret_text(self) -> str:
        self._client.set(self._secret, secrets.token_urlsafe(_SECRET_BYTES), nx=True)
        return self._client.get(self._secret).decode()


def _readable(kept: Any, now_s: float) -> Instance | None:
    """As ``_instance``; None for one that this version cannot read, so that it does not hide the others."""
    try:
        return _instance(kept, now_s)
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        _log.debug("An instance of the queue cannot be read: %s", fault, extra={"event": "instance.unreadable"})
        return None


def _instance(kept: Any, now_s: float) -> Instance:
    """What an instance told, as far as this version knows it. ``kept``: facts, when it was heard, whether it left."""
    facts, seen_s, left = kept
    told: dict[str, Any] = json.loads(facts)
    known = {field.name for field in fields(Instance)}
    given: dict[str, Any] = {
        name: tuple(cast("list[str]", value)) if isinstance(value, list) else value
        for name, value in told.items()
        if name in known
    }
    given["devices"] = tuple(_device(one) for one in told.get("devices", ()))
    given["roles"] = tuple(Role(one) for one in told.get("roles", ()) if one in set(Role))
    given["seen_at_s"] = float(seen_s)
    if left == b"1" or now_s - float(seen_s) > GONE_AFTER_S:
        given["state"] = InstanceState.GONE
    else:
        state = told.get("state")
        given["state"] = InstanceState(state) if state in set(InstanceState) else InstanceState.ACTIVE
    return Instance(**given)


def _device(told: dict[str, Any]) -> Device:
    return Device(told["name"], told.get("vram_total_bytes"), told.get("vram_free_bytes"))


def _packed(capabilities: Capabilities) -> bytes:
    plain = {"node_classes": sorted(capabilities.node_classes), "models": sorted(capabilities.models)}
    return zlib.compress(json.dumps(plain).encode())


def _unpacked(blob: bytes) -> Capabilities:
    plain = json.loads(zlib.decompress(blob))
    return Capabilities(frozenset(plain["node_classes"]), frozenset(plain["models"]))


def _own_script() -> str:
    return Path(__file__).with_name("instances.lua").read_text(encoding="utf-8")
