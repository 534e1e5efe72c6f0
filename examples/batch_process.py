"""Many prompts with a pool of workers, each with a socket and an id of its own; results in the order of the prompts.

    pip install requests websocket-client
    python examples/batch_process.py prompt.json --node 1 --input color --values 1 2 3 4 --workers 4 --out pictures

Each worker opens ``/ws?clientId=<its UUID>`` once, submits with that ``client_id``, and reads its own socket until its job has ended; so
no worker sees another's messages. A ``client_id`` is also a principal: the machine is shared fairly between the workers. The socket only
says when to look: the job itself has the last word, and a lost socket loses nothing. The command line does all this and more:
``expeditor batch`` (docs/batching.md).
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests
import websocket  # of the package websocket-client

ENDED = {"succeeded", "failed", "canceled", "expired"}
LOOK_AGAIN_S = 5.0
TIMEOUT_S = 60


class Worker:
    """One thread's connections: a UUID, a session, a socket."""

    def __init__(self, url: str) -> None:
        self.client_id = str(uuid.uuid4())
        self._url = url
        self._session = requests.Session()
        self._socket: websocket.WebSocket | None = None

    def run(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """Submit one prompt and return the job once it has ended. Raises ``requests.RequestException``."""
        socket = self._listening()  # before the submit: a quick job may be over before a later socket would hear of it
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        body = {"prompt": prompt, "client_id": self.client_id}
        answer = self._session.post(f"{self._url}/expeditor/submit", json=body, headers=headers, timeout=TIMEOUT_S)
        answer.raise_for_status()
        job = answer.json()
        while job["status"] not in ENDED:
            if socket is not None:
                socket = self._hear(socket, job["id"])
            job = self._session.get(f"{self._url}/expeditor/jobs/{job['id']}", timeout=TIMEOUT_S).json()
        return job

    def save(self, job: dict[str, Any], folder: Path, number: int) -> list[Path]:
        """Save what a job made; the number stands first, so that the folder is in order too."""
        saved: list[Path] = []
        for output in job["outputs"]:
            file = folder / f"{number:04d}_{Path(output['name']).name}"
            content = self._session.get(urljoin(self._url + "/", output["url"]), timeout=TIMEOUT_S)
            content.raise_for_status()
            file.write_bytes(content.content)
            saved.append(file)
        return saved

    def close(self) -> None:
        """Close both connections."""
        if self._socket is not None:
            self._socket.close()
        self._session.close()

    def _listening(self) -> websocket.WebSocket | None:
        if self._socket is None or not self._socket.connected:
            address = self._url.replace("http", "ws", 1) + f"/ws?clientId={self.client_id}"
            self._socket = websocket.create_connection(address, timeout=LOOK_AGAIN_S)
        return self._socket

    def _hear(self, socket: websocket.WebSocket, job_id: str) -> websocket.WebSocket | None:
        """Read until something says that the job is over, or nothing has come for a while."""
        try:
            while not _tells_end(socket.recv(), job_id):
                pass
        except websocket.WebSocketTimeoutException:
            pass  # silence proves nothing: look at the job
        except (OSError, websocket.WebSocketException):
            threading.Event().wait(LOOK_AGAIN_S)  # a lost socket: look at the job now and then
        return socket


def _tells_end(frame: str | bytes, job_id: str) -> bool:
    if isinstance(frame, bytes):
        return False  # a preview picture
    message = json.loads(frame)
    told = message.get("data") or {}
    if message["type"] == "executing":
        return told.get("node") is None and told.get("prompt_id") == job_id
    return message["type"] == "expeditor.event" and told.get("job_id") == job_id and told.get("status") in ENDED


def process(url: str, prompts: Sequence[dict[str, Any]], workers: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Run all prompts, at most ``workers`` at a time; yields ``{number, job, files}`` or ``{number, error}`` in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    mine = threading.local()
    made: list[Worker] = []

    def one(number: int, prompt: dict[str, Any]) -> dict[str, Any]:
        if not hasattr(mine, "worker"):
            mine.worker = Worker(url)
            made.append(mine.worker)
        worker: Worker = mine.worker
        try:
            job = worker.run(prompt)
            return {"number": number, "job": job, "files": worker.save(job, folder, number)}
        except (requests.RequestException, OSError, websocket.WebSocketException) as fault:
            return {"number": number, "error": f"{fault}"}  # one that fails does not stop the others

    try:
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(one, range(1, len(prompts) + 1), prompts)
    finally:
        for worker in made:
            worker.close()


def main() -> int:
    """0 when every prompt succeeded."""
    parser = argparse.ArgumentParser(description="Run a prompt with many values of one input, several at a time.")
    parser.add_argument("prompt", type=Path, help="a workflow exported in API format")
    parser.add_argument("--node", required=True, help="the node whose input changes")
    parser.add_argument("--input", required=True, help="the input that changes")
    parser.add_argument("--values", nargs="+", required=True, help="its values; JSON where they are JSON")
    parser.add_argument("--workers", type=int, default=4, help="so many at a time (default 4)")
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="folder for what they make")
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="ComfyUI with Expeditor")
    options = parser.parse_args()
    base = json.loads(options.prompt.read_text("utf-8"))
    prompts: list[dict[str, Any]] = []
    for text in options.values:
        prompt = deepcopy(base)
        prompt[options.node]["inputs"][options.input] = _value(text)
        prompts.append(prompt)
    failures = 0
    for done in process(options.url, prompts, options.workers, options.out):
        status = done["job"]["status"] if "job" in done else done["error"]
        files = " ".join(str(file) for file in done.get("files", ()))
        print(f"{done['number']}: {status} {files}".rstrip(), flush=True)
        failures += status != "succeeded"
    return int(failures > 0)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main())
