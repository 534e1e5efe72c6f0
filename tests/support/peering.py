"""Two instances that send each other files, without ComfyUI: folders, the answering half on a port, the asking half on its thread."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from expeditor.host.bucket import Bucket
from expeditor.host.collecting import Collector, CollectPort
from expeditor.host.desk import InputHashes, PeerDesk
from expeditor.host.handover import Handover
from expeditor.host.landing import LandingGround
from expeditor.host.mailing import Mailer
from expeditor.host.owed import OwedFiles
from expeditor.host.peers import Peers, PeerThread
from expeditor.host.sending import Sender
from expeditor.jobs.homing import SENT_FOLDERS
from expeditor.jobs.model import Ending, Job, JobStatus, Output
from expeditor.jobs.parcels import Landing, Offer
from expeditor.routes.peers import PeerPictures, PeerRoutes, PeerVerdicts, peer_table
from tests.support.jobs import a_job
from tests.support.served import Served

JOB = "11111111-2222-4333-8444-555555555555"
SECRET = "a secret of the members"
QUESTION_MAX_BYTES = 4_000_000


class FakeMembers:
    """Fits `host.ports.Members`: who is where, as a test says."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.shown = SECRET

    def url_of(self, instance: str) -> str | None:
        return self.urls.get(instance)

    def secret(self) -> str:
        return self.shown


class Side:
    """One instance: its folders, what it answers, what it sends."""

    def __init__(
        self,
        name: str,
        root: Path,
        members: FakeMembers,
        *,
        handover_s: float = 5.0,
        ground: Any = None,
        verdicts: Any = None,
        bucket: str | None = None,
        kinds: frozenset[str] = SENT_FOLDERS,
        pictures: Any = None,
    ) -> None:
        self.name, self.root, self.members, self.handover_s = name, root / name, members, handover_s
        self.folders = {kind: str(self.root / kind) for kind in ("output", "temp", "input")}
        for folder in self.folders.values():
            Path(folder).mkdir(parents=True, exist_ok=True)
        self.ground = ground or LandingGround(self.folders.get)
        self.secret, self.address = SECRET, bucket
        self.kinds = kinds
        self.start()
        self.desk = PeerDesk(name, self.folders.get, self._owed, InputHashes())
        routes = PeerRoutes(self.desk, self.ground, self._secret, self)
        self.app = web.Application()
        asked = verdicts and PeerVerdicts(verdicts, max_bytes=QUESTION_MAX_BYTES)
        self.app.add_routes(peer_table(routes, asked, pictures and PeerPictures(pictures)))
        self.served: Any = None

    def start(self) -> None:
        """A life of the sending half; what is owed is read from disk."""
        self.thread = PeerThread()
        self.peers = Peers(self.members, connect_s=2, silent_s=5)
        self.bucket = None if self.address is None else Bucket(self.address)
        self.collector = None if self.bucket is None else Collector(self.name, self.bucket, self.ground)
        self.port = CollectPort(self.collector, self.thread)
        self.owed = OwedFiles(self.root / "owed")
        self.handover = Handover(
            name=self.name,
            thread=self.thread,
            way=Sender(self.peers) if self.bucket is None else Mailer(self.bucket, self.peers),
            folders=self.folders.get,
            owed=self.owed,
            handover_s=self.handover_s,
            clock=lambda: 1_700_000_000.0,
            kinds=self.kinds,
        )

    async def collect(self, offer: Offer) -> Landing:
        """Of the life that it is."""
        return await self.port.collect(offer)

    def take_waiting(self) -> None:
        assert self.collector is not None
        self.thread.run(self.collector.take_waiting()).result(30)

    def stop(self) -> None:
        self.thread.run(self.peers.close()).result(10)
        self.thread.stop()

    def open(self) -> Side:
        self.served = Served(self.app)
        self.served.__enter__()
        self.members.urls[self.name] = self.served.url
        return self

    def close(self) -> None:
        if self.served is None:
            return
        self.served.__exit__(None, None, None)
        self.served = None
        self.members.urls.pop(self.name, None)

    def path(self, kind: str, *parts: str) -> Path:
        return Path(self.folders[kind]).joinpath(*parts)

    def make(self, kind: str, subfolder: str, name: str, content: bytes) -> Output:
        """A file as a node would have written it, and its record."""
        path = self.path(kind, subfolder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return Output("9", name, subfolder, kind, "image", "image/png", len(content))

    def hand_over(self, origin: str | None, *outputs: Output, job_id: str = JOB, history: str | None = None) -> Ending:
        """A run of a job of `origin` has made these: its ending as it is stored."""
        job = foreign_job(origin, job_id)
        ending = Ending(JobStatus.SUCCEEDED, 1_700_000_000.0, 1.0, outputs=outputs, history_json=history)
        self.handover.began(job)
        brought = self.handover.bring_home(job, ending)
        return ending if brought is None else brought.result(30)

    def pay(self) -> None:
        self.thread.run(self.handover.pay_once()).result(30)

    def _owed(self, job_id: str, file: Any) -> Path | None:
        return self.owed.find(job_id, file)

    def _secret(self, _fresh: bool) -> str:
        return self.secret


def foreign_job(origin: str | None, job_id: str = JOB) -> Job:
    return a_job(id=job_id, origin=origin)


class CuttingProxy:
    """Passes connections on to a port; the next `cuts` of them are cut after `after_bytes` from the client, or the server."""

    def __init__(self, port: int, after_bytes: int, *, from_server: bool = False) -> None:
        self.cuts = 0
        self.passed = 0
        self._from_server = from_server
        self._port, self._after = port, after_bytes
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._pass, args=(here, there, not self._from_server), daemon=True).start()
                threading.Thread(target=self._pass, args=(there, here, self._from_server), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, cutting: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(16384):
                passed += len(data)
                if cutting and passed > self._after and self.cuts > 0:
                    self.cuts -= 1
                    break
                sink.sendall(data)
                self.passed += len(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
