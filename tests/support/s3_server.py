"""A real server that speaks S3 (moto's), as a process on a free port: it checks keys when told to, forgets nothing while it lives."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from types import TracebackType

from obstore.store import S3Store

from tests.support.comfy_server import free_port
from tests.support.waiting import wait_until

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAOFATEST", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests", "AWS_REGION": "eu-west-1"}
BUCKET = "results"


class S3Server:
    """Has one bucket. `stop` and `start` keep the port and lose the objects."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What an instance is told of it."""
        return KEYS | {"AWS_ENDPOINT_URL": self.url}

    def __enter__(self) -> S3Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, bucket: bool = True) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, 60, what="the S3 server")
        if bucket:
            self.make_bucket()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)

    def make_bucket(self) -> None:
        self._ask("PUT", f"/{BUCKET}")

    def objects(self) -> list[str]:
        """Their keys."""
        return sorted(one["path"] for batch in self._store().list() for one in batch)

    def write(self, key: str, content: bytes) -> None:
        self._store().put(key, content)

    def check_keys(self, check: bool) -> None:
        """From now on refuse (or let in) whoever shows keys of nobody."""
        self._ask("POST", "/moto-api/reset-auth", b"0" if check else b"inf")

    def _store(self) -> S3Store:
        key, secret, region = KEYS.values()
        return S3Store(
            BUCKET,
            endpoint=self.url,
            access_key_id=key,
            secret_access_key=secret,
            region=region,
            client_options={"allow_http": True},
        )

    def _answers(self) -> bool:
        try:
            self._ask("GET", "/moto-api/data.json")
        except OSError:
            return False
        return True

    def _ask(self, method: str, path: str, content: bytes | None = None) -> bytes:
        headers = {} if content is None else {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(self.url + path, method=method, data=content, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()
