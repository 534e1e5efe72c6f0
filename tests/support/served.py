"""For clients that block: an aiohttp app served by a thread, and a proxy that loses answers. No test logic."""

from __future__ import annotations

import asyncio
import select
import socket
import socketserver
import threading
from types import TracebackType

from aiohttp import web

from tests.support.comfy_server import free_port


class Served:
    """An app on a free loopback port while the `with` statement lasts; `stop` and `start` in between are a restart."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Served:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _open(self) -> None:
        self._runner = web.AppRunner(self._app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        # Open streams look for their readers now and then: they would outlive the loop.
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _do(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)  # type: ignore[arg-type]


class LossyProxy:
    """Passes connections on to a port. The next `losses` requests that begin with `marker` reach it, and their answers are lost."""

    def __init__(self, port: int, marker: bytes = b"POST /expeditor/submit") -> None:
        self.losses = 0
        self.seen = 0
        lossy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(("127.0.0.1", port)) as there:
                    lossy._relay(self.request, there, marker)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> LossyProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _relay(self, here: socket.socket, there: socket.socket, marker: bytes) -> None:
        lose = False
        while True:
            readable, _, _ = select.select([here, there], [], [], 30)
            if not readable:
                return
            for source in readable:
                try:
                    data = source.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                if source is here:
                    if data.startswith(marker):
                        self.seen += 1
                        if self.losses > 0:
                            self.losses, lose = self.losses - 1, True
                    there.sendall(data)
                elif lose:
                    return
                else:
                    here.sendall(data)


class Machine:
    """Stands for ComfyUI's worker: claims what waits in a store and ends it as `ending(job)` says, while the `with` lasts."""

    def __init__(self, store, ending) -> None:
        self._store, self._ending = store, ending
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Machine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _work(self) -> None:
        while not self._stop.is_set():
            claimed = self._store.claim().result(20)
            if claimed is None:
                self._stop.wait(0.01)
            else:
                self._store.finish(claimed.job.id, claimed.attempt, self._ending(claimed.job)).result(20)
