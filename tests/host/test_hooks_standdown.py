"""Another pack owns ComfyUI's queue, or a hook is switched off: ComfyUI works as ever, health and one log line say so.

Which pack is loaded first is made certain by folders: ComfyUI loads the custom nodes of its base directory before those of
a folder that an extra paths file names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.host.socket_reader import SocketReader
from tests.host.stock_walk import TEST_NODES, ended, gate_prompt, image_prompt, open_gate, prompt_id, running
from tests.support.comfy_server import ROOT, RealComfyUI

PACKS = TEST_NODES.parent
HOOKS = ("queue", "prompt", "middleware", "send", "execute", "observer", "signals", "api_v2")


@contextmanager
def _server(folder: Path, other: str, *, other_first: bool) -> Iterator[RealComfyUI]:
    later = folder / "custom_nodes_of_the_extra_paths"
    later.mkdir()
    name, target = ("expeditor", ROOT) if other_first else (other, PACKS / other)
    (later / name).symlink_to(target, target_is_directory=True)
    paths = folder / "extra_paths.yaml"
    paths.write_text(f"later:\n    custom_nodes: {later}\n", encoding="utf-8")
    packs = [TEST_NODES, *([PACKS / other] if other_first else [])]
    arguments = ["--extra-model-paths-config", str(paths)]
    with RealComfyUI(with_expeditor=not other_first, packs=packs, args=arguments) as server:
        yield server


def _lines(server: RealComfyUI, event: str) -> list[dict[str, Any]]:
    """Our log lines about one event."""
    lines = [json.loads(line) for line in server.log_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


def _serves_as_stock(server: RealComfyUI) -> None:
    """A prompt runs and is told; `front` goes first; delete, interrupt and history work."""
    client = "standing-by"
    with SocketReader(server, client) as socket:
        _submit(server, "holder", gate_prompt("holder"), client)
        running(server, prompt_id("holder"))
        _submit(server, "second", image_prompt(2), client)
        _submit(server, "dropped", image_prompt(3), client)
        _submit(server, "first", image_prompt(1), client, front=True)
        assert server.post("/queue", json={"delete": [prompt_id("dropped")]}).status_code == 200
        assert len(server.get("/queue").json()["queue_pending"]) == 2
        open_gate(server, "holder")
        frames = socket.until(lambda frame: frame.idle)
    started = [frame.data["prompt_id"] for frame in frames if frame.kind == "execution_start"]
    assert started == [prompt_id("holder"), prompt_id("first"), prompt_id("second")]
    told = ended(server, prompt_id("first"), prompt_id("second"))
    assert all(
        entry["status"]["status_str"] == "success" and entry["outputs"]["2"]["images"] for entry in told.values()
    )
    with SocketReader(server, client) as socket:
        _submit(server, "stopped", gate_prompt("never"), client)
        # In the gate, not only listed as running: stock forgets an interruption that comes before its run begins.
        socket.until(lambda frame: frame.kind == "executing" and frame.data["node"] == "1")
    assert server.post("/interrupt", json={"prompt_id": prompt_id("stopped")}).status_code == 200
    assert ended(server, prompt_id("stopped"))[prompt_id("stopped")]["status"]["status_str"] == "error"
    assert server.post("/prompt", json={"prompt": {}}).json()["error"]["type"] == "prompt_no_outputs"
    assert server.get("/prompt").json() == {"exec_info": {"queue_remaining": 0}}


def _submit(server: RealComfyUI, name: str, prompt: dict[str, Any], client: str, **further: Any) -> None:
    body = {"prompt": prompt, "prompt_id": prompt_id(name), "client_id": client, **further}
    answer = server.post("/prompt", json=body)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("other_first", [True, False], ids=["loaded before", "loaded after"])
@pytest.mark.parametrize("other", ["wraps_put", "replaces_queue"])
def test_another_pack_owns_the_queue(tmp_path: Path, other: str, other_first: bool):
    with _server(tmp_path, other, other_first=other_first) as server:
        health = server.get("/expeditor/health").json()
        assert health["status"] == "degraded"
        assert health["hooks"]["queue"] not in ("on", "off"), "a sentence says why"
        assert {hook: state for hook, state in health["hooks"].items() if hook != "queue"} == {
            hook: "on" for hook in HOOKS if hook != "queue"
        }
        assert server.get("/expeditor/ready").status_code == 503
        told = _lines(server, "hook.stands_down")
        assert len(told) == 1
        assert health["hooks"]["queue"] in json.dumps(told[0], ensure_ascii=False)

        _serves_as_stock(server)
        assert server.log_text().count(f"{other} saw a prompt") == 5
        refused = server.post("/expeditor/submit", json={"prompt": image_prompt(9)})
        assert refused.status_code == 503, refused.text
        assert refused.json()["error"]["code"] == "STORE_UNAVAILABLE"
        assert server.running


def _individually(hook: str) -> Any:
    return pytest.param((hook,), id=hook, marks=() if hook == "queue" else pytest.mark.full)


@pytest.mark.parametrize("off", [*(_individually(hook) for hook in HOOKS), pytest.param(HOOKS, id="all")])
def test_a_hook_is_switched_off(off: tuple[str, ...]):
    env = {f"EXPEDITOR_HOOKS_{hook.upper()}": "false" for hook in off}
    with RealComfyUI(packs=[TEST_NODES], env=env) as server:
        health = server.get("/expeditor/health").json()
        assert health["hooks"] == {hook: "off" if hook in off else "on" for hook in HOOKS}
        assert health["status"] == ("degraded" if "queue" in off else "ok")
        assert _lines(server, "hook.stands_down") == []
        (started,) = _lines(server, "start.done")
        assert [hook for hook in HOOKS if (f"{hook}=off" in started["message"]) != (hook in off)] == []

        _serves_as_stock(server)
        submitted = server.post("/expeditor/submit", json={"prompt": image_prompt(9)})
        assert submitted.status_code == (503 if "queue" in off else 201), submitted.text
        assert server.running


def test_expeditor_is_switched_off():
    """Its nodes can be used, and there is nothing else."""
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_ENABLED": "false"}) as server:
        assert server.get("/expeditor/health").status_code == 404
        assert "StyleTransferNode" in server.get("/object_info/StyleTransferNode").json()
        assert server.log_text().count("Expeditor is switched off by its settings.") == 1
        _serves_as_stock(server)


def test_a_setting_that_is_wrong_stands_expeditor_down():
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_HOOK_QUEUE": "false"}) as server:
        assert server.get("/expeditor/health").status_code == 404
        told = [line for line in server.log_text().splitlines() if "hook_queue" in line]
        assert len(told) == 1
        assert "Did you mean hooks_queue?" in told[0]
        _serves_as_stock(server)
