"""A network namespace of the kernel: a machine of its own on a wire to this one, which a test cuts without a word.

Owns the namespace, the wire (a pair of virtual devices) and two addresses on this side, so that one of them can be cut alone. A cut is
silent, as a firewall's that drops packets: they are sent to a hardware address that nobody has. Needs root (CAP_NET_ADMIN and
CAP_SYS_ADMIN) on Linux, and `ip` and `tc`; says what is missing where it may not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from types import TracebackType
from typing import Any

_NOBODY = "02:de:ad:00:00:01"
_ASK = """
import json, sys, urllib.error, urllib.request
method, url, body = sys.argv[1:]
data = body.encode() if body else None
request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
try:
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(json.dumps([answer.status, json.load(answer)]))
except urllib.error.HTTPError as answer:
    print(json.dumps([answer.code, json.load(answer)]))
"""


class NotHere(Exception):
    """What this machine lacks, or does not let us do."""


class Network:
    """See the module's docstring; a context manager. ``inside`` is the address in there, ``first`` and ``second`` are this side's."""

    def __init__(self) -> None:
        """Makes nothing yet."""
        number = os.getpid() % 16_000
        # 198.18.0.0/15 is set aside for tests of networks (RFC 2544). Four addresses for a process.
        begin = 198 << 24 | 18 << 16 | number << 3
        self.first, self.second, self.inside = (_dotted(begin + n) for n in (1, 2, 3))
        self.name = f"expeditor-{os.getpid()}"
        self._here, self._there = f"ex{os.getpid()}a", f"ex{os.getpid()}b"

    def __enter__(self) -> Network:
        """Raises ``NotHere``."""
        if sys.platform != "linux" or shutil.which("ip") is None:
            raise NotHere("network namespaces are Linux', and take `ip` (Debian package iproute2)")
        try:
            self._make()
        except subprocess.CalledProcessError as fault:
            self.__exit__(None, None, None)
            said = fault.stderr.decode(errors="replace").strip()
            raise NotHere(
                f"network namespaces take more rights than this process has (root, CAP_NET_ADMIN): {said}"
            ) from fault
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for words in (("link", "del", self._here), ("netns", "del", self.name)):
            subprocess.run(("ip", *words), capture_output=True, check=False)

    @property
    def command(self) -> tuple[str, ...]:
        """What to put in front of a command that is to run inside."""
        return ("ip", "netns", "exec", self.name)

    def cut(self, address: str | None = None) -> None:
        """From now on nothing passes between the inside and this address of ours, or any, in either direction, and nobody is told."""
        for ours in (address,) if address else (self.first, self.second):
            self._inside("neigh", "replace", ours, "lladdr", _NOBODY, "nud", "permanent", "dev", self._there)
        if address is None:
            _ip("neigh", "replace", self.inside, "lladdr", _NOBODY, "nud", "permanent", "dev", self._here)

    def mend(self) -> None:
        """Everything passes again; what was under way is sent anew by the kernel, in its own time."""
        for ours in (self.first, self.second):
            self._inside("neigh", "replace", ours, "lladdr", self._address_of_wire(), "dev", self._there)
        _ip("neigh", "replace", self.inside, "lladdr", self._address_of_wire(inside=True), "dev", self._here)

    def slow(self, rate: str) -> None:
        """What leaves the inside does so at this rate, as `tc` writes it, from now on. Raises ``NotHere``."""
        words = (
            "tc",
            "qdisc",
            "add",
            "dev",
            self._there,
            "root",
            "tbf",
            "rate",
            rate,
            "burst",
            "32kbit",
            "latency",
            "400ms",
        )
        try:
            subprocess.run((*self.command, *words), capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as fault:
            raise NotHere(f"a slow wire takes `tc` and the kernel's sch_tbf: {fault}") from fault

    def quick(self) -> None:
        """At any rate again."""
        words = ("tc", "qdisc", "del", "dev", self._there, "root")
        subprocess.run((*self.command, *words), capture_output=True, check=True)

    def ask(self, method: str, url: str, body: Any = None) -> tuple[int, Any]:
        """A request from the inside, where one is heard however it is cut off: status and the JSON of the answer."""
        words = (*self.command, sys.executable, "-c", _ASK, method, url, "" if body is None else json.dumps(body))
        done = subprocess.run(words, capture_output=True, check=True, timeout=60)
        status, answer = json.loads(done.stdout)
        return status, answer

    def _make(self) -> None:
        _ip("netns", "add", self.name)
        _ip("link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self.name)
        for ours in (self.first, self.second):
            _ip("addr", "add", f"{ours}/29", "dev", self._here)
        _ip("link", "set", self._here, "up")
        self._inside("link", "set", "lo", "up")
        self._inside("addr", "add", f"{self.inside}/29", "dev", self._there)
        self._inside("link", "set", self._there, "up")
        self._inside("route", "add", "default", "via", self.first)

    def _address_of_wire(self, *, inside: bool = False) -> str:
        words = ("ip", "-j", "link", "show", self._there if inside else self._here)
        said = subprocess.run((*self.command, *words) if inside else words, capture_output=True, check=True)
        return str(json.loads(said.stdout)[0]["address"])

    def _inside(self, *words: str) -> None:
        _ip("-n", self.name, *words)


def _ip(*words: str) -> None:
    subprocess.run(("ip", *words), capture_output=True, check=True)


def _dotted(address: int) -> str:
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))
