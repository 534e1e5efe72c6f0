"""Many members on one queue, on one machine, for benchmarks: real ones, many to a process, and ears that only hear.

`python benchmarks/many_members.py executors URL NAMESPACE PREFIX COUNT RUN_S` is COUNT members of a process, each with the real store
and a thread that claims, sleeps and finishes; it says `ready`, waits for a line, works until nothing can be claimed and prints what they
saw as JSON. `python benchmarks/many_members.py ears URL NAMESPACE COUNT` is COUNT connections that hear every word as members do and make
nothing of it: what they cost Redis is what members cost it that miss nothing, what they cost themselves is not. Owns no measurement.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import compare

if "benchmarks" not in sys.modules:
    compare.make_importable()

from benchmarks.members import DEADLINE_S, execute, member
from expeditor.store.bullmq.address import parse
from expeditor.store.bullmq.keys import Keys

LATEST_S = 600.0


@contextmanager
def _child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).absolute()), *arguments]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        if child.stdout.readline().strip() != "ready":
            raise RuntimeError("a process of the benchmark did not start")
        yield child
    finally:
        child.kill()
        child.wait()


@contextmanager
def ears(url: str, namespace: str, count: int) -> Iterator[None]:
    """So many hear each word while the `with` statement lasts."""
    if not count:
        yield
        return
    with _child("ears", url, namespace, str(count)):
        yield


def run_many(url: str, namespace: str, count: int, processes: int, run_s: float) -> list[dict[str, Any]]:
    """What each of so many members saw, in so many processes, all let go together."""
    shares = [count // processes + (number < count % processes) for number in range(processes)]
    with ExitStack() as stack:
        arguments = [(url, namespace, f"p{n}", str(share), str(run_s)) for n, share in enumerate(shares)]
        children = [stack.enter_context(_child("executors", *one)) for one in arguments]
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        return [seen for child in children for seen in json.loads(child.communicate(timeout=LATEST_S)[0])]


def _executors(url: str, namespace: str, prefix: str, count: str, run_s: str) -> None:
    with ExitStack() as stack:
        stores = [stack.enter_context(member(url, namespace, f"{prefix}-{n}")) for n in range(int(count))]
        _say("ready")
        sys.stdin.readline()
        with ThreadPoolExecutor(len(stores)) as threads:
            seen = list(threads.map(lambda store: execute(store, float(run_s)), stores))
    _say(json.dumps(seen))


def _ears(url: str, namespace: str, count: str) -> None:
    host, port = parse(url).hosts[0]
    channel = Keys(namespace)("word").encode()
    asked = b"*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%b\r\n" % (len(channel), channel)
    selector = selectors.DefaultSelector()
    for _ in range(int(count)):
        ear = socket.create_connection((host, port), timeout=DEADLINE_S)
        ear.sendall(asked)
        ear.recv(4096)
        ear.setblocking(False)
        selector.register(ear, selectors.EVENT_READ)
    threading.Thread(target=_hear, args=(selector,), daemon=True).start()
    _say("ready")
    sys.stdin.readline()


def _hear(selector: selectors.BaseSelector) -> None:
    while True:
        for key, _ in selector.select():
            ear: Any = key.fileobj
            if not ear.recv(1 << 18):
                return


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    """One child."""
    what, *rest = arguments
    {"executors": _executors, "ears": _ears}[what](*rest)


if __name__ == "__main__":
    main(sys.argv[1:])
