"""dev.py serve before and around the server: port, link, address, exit code, signals."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from expeditor.devtools import serve
from expeditor.devtools.console import SetupError
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


def test_a_taken_port_is_said_before_anything_is_started() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=rf"port {port} of 127\.0\.0\.1 cannot be used.*--port N"):
            serve.check_port("127.0.0.1", port)
    serve.check_port("127.0.0.1", port)


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8188"),
        ("0.0.0.0", "http://127.0.0.1:8188"),
        ("::", "http://[::1]:8188"),
        ("::1,127.0.0.1", "http://[::1]:8188"),
        ("box.local", "http://box.local:8188"),
    ],
)
def test_the_address_shown_can_be_opened(listen: str, url: str) -> None:
    assert serve.url_of(listen, 8188) == url


def test_the_checkout_is_linked_once_and_a_second_checkout_takes_over(tmp_path: Path) -> None:
    data, first, second = tmp_path / "data", tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    link = data / "custom_nodes" / "expeditor"
    for checkout in (first, first, second):
        serve.lay_out(data, checkout)
        assert link.resolve() == checkout
    assert {path.name for path in data.iterdir()} == set(serve.BASE_FOLDERS)


def test_a_checkout_that_lies_among_the_nodes_is_not_linked_again(tmp_path: Path) -> None:
    checkout = tmp_path / "custom_nodes" / "my-expeditor"
    checkout.mkdir(parents=True)
    serve.lay_out(tmp_path, checkout)
    assert [path.name for path in (tmp_path / "custom_nodes").iterdir()] == ["my-expeditor"]


def test_a_folder_of_the_users_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "custom_nodes" / "expeditor").mkdir(parents=True)
    with pytest.raises(SetupError, match="is not this checkout"):
        serve.lay_out(tmp_path, ROOT)


SERVER = """
import signal, sys, threading
def end(number, frame):
    print("got", number, flush=True)
    sys.exit(7)
signal.signal(signal.SIGINT, end)
if sys.argv[1] == "polite":
    signal.signal(signal.SIGTERM, end)
print("up", flush=True)
threading.Event().wait()
"""

WATCH = textwrap.dedent("""
    import sys
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from devtools.serve import _Child
    sys.exit(_Child("http://127.0.0.1:1", Path(sys.argv[2])).run([sys.executable, *sys.argv[3:]]))
""")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("manner", "number", "code"),
    [("polite", signal.SIGINT, 7), ("polite", signal.SIGTERM, 7), ("deaf", signal.SIGTERM, 128 + signal.SIGTERM)],
)
def test_signals_reach_the_server_once_and_its_exit_code_comes_back(
    tmp_path: Path, manner: str, number: signal.Signals, code: int
) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER, encoding="utf-8")
    out = tmp_path / "out"
    command = [sys.executable, "-c", WATCH, str(ROOT), str(tmp_path), str(script), manner]
    with out.open("w", encoding="utf-8") as file, subprocess.Popen(command, stdout=file) as tool:
        wait_until(lambda: "up\n" in out.read_text(encoding="utf-8"), what="the server")
        tool.send_signal(number)
        assert tool.wait() == code
    said = out.read_text(encoding="utf-8")
    assert said.count("got") == (1 if manner == "polite" else 0)
    assert "ended before it served" not in said
