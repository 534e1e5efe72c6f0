"""Every built-in route that ComfyUI documents, plain and under `/api`, on stock and with Expeditor: the same answers.

Statuses, headers and bodies are compared value by value, except for clocks and the like. Requests that make stock answer
500 are not walked here: Expeditor refuses those on purpose.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.host.stock_walk import Call, Pair, stock_and_expeditor, walk
from tests.support.comfy_server import RealComfyUI

PREFIXES = pytest.mark.parametrize("prefix", ["", "/api"], ids=["plain", "api"])


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with stock_and_expeditor() as servers:
        for server in servers.both:
            _furnish(server)
        yield servers


def _furnish(server: RealComfyUI) -> None:
    """A model with metadata, one without, an embedding and a workflow: so that listings list something."""
    for folder, name, header in (
        ("loras", "told.safetensors", {"__metadata__": {"author": "nobody", "steps": "12"}}),
        ("loras", "untold.safetensors", {"weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
        ("embeddings", "mood.pt", {}),
    ):
        place = server.base / "models" / folder
        place.mkdir(parents=True, exist_ok=True)
        text = json.dumps(header).encode()
        (place / name).write_bytes(struct.pack("<Q", len(text)) + text)


def test_it_is_expeditor_that_is_compared(pair: Pair):
    assert pair.ours.get("/expeditor/health").status_code == 200
    assert pair.stock.get("/expeditor/health").status_code == 404


# -- what the server is and has ------------------------------------------------------------------------------------------


def _without_our_classes(body: dict[str, Any]) -> dict[str, Any]:
    return {name: info for name, info in body.items() if info["python_module"] != "custom_nodes.expeditor"}


def _without_our_files(body: list[str]) -> list[str]:
    return [path for path in body if not path.startswith("/extensions/expeditor/")]


def _without_our_templates(body: dict[str, Any]) -> dict[str, Any]:
    return {pack: names for pack, names in body.items() if pack != "expeditor"}


def _without_our_texts(body: dict[str, Any]) -> dict[str, Any]:
    """Stock has no translations at all without packs; ours must be texts by language."""
    assert all(isinstance(texts, dict) for texts in body.values()), body
    return {}


OUR_FOLDER = "style_transfer"


def _without_our_folder(body: Any) -> Any:
    """The folder of style nets is one more kind of model, as any pack may bring its own."""
    if isinstance(body, dict):
        assert OUR_FOLDER in body, body
        return {kind: paths for kind, paths in body.items() if kind != OUR_FOLDER}
    others = [kind for kind in body if (kind["name"] if isinstance(kind, dict) else kind) != OUR_FOLDER]
    assert len(others) == len(body) - 1, body
    return others


SERVER = [
    Call("GET", "/"),
    Call("GET", "/extensions", ours=_without_our_files),
    Call("GET", "/features"),
    Call("GET", "/system_stats"),
    Call("GET", "/embeddings"),
    Call("GET", "/models", ours=_without_our_folder),
    Call("GET", "/models/loras", unordered=True),
    Call("GET", "/models/no_such_kind", 404),
    Call("GET", "/experiment/models", ours=_without_our_folder),
    Call("GET", "/experiment/models/loras", unordered=True),
    Call("GET", "/experiment/models/no_such_kind", 404),
    Call("GET", "/experiment/models/preview/loras/0/told.safetensors", 404),
    Call("GET", "/view_metadata/loras?filename=told.safetensors"),
    Call("GET", "/view_metadata/loras?filename=untold.safetensors", 404),
    Call("GET", "/view_metadata/loras?filename=absent.safetensors", 404),
    Call("GET", "/view_metadata/loras", 404),
    Call("GET", "/workflow_templates", ours=_without_our_templates),
    Call("GET", "/i18n", ours=_without_our_texts),
    Call("GET", "/global_subgraphs"),
    Call("GET", "/object_info", ours=_without_our_classes),
    Call("GET", "/object_info/SaveImage"),
    Call("GET", "/object_info/ExpeditorTestSleepy"),
    Call("GET", "/object_info/NoSuchClass"),
    Call("HEAD", "/system_stats", masked=((),)),
    Call("GET", "/no/such/page", 404),
    Call("PUT", "/prompt", 405),
    Call("DELETE", "/queue", 405),
    Call("GET", "/features", 403, {"headers": {"Origin": "http://somewhere.example"}}),
    Call("POST", "/prompt", 403, {"headers": {"Origin": "http://somewhere.example"}, "json": {}}),
    Call("GET", "/ws", 400),  # not a WebSocket handshake
]
# Served once, without a twin.
UNDOUBLED = [
    Call("GET", "/templates/index.json"),
    Call("GET", "/docs/SaveImage/en.md"),
    Call("GET", "/docs", 403),
    Call("GET", "/extensions/core/groupNode.js"),
    Call("GET", "/internal/folder_paths", ours=_without_our_folder),
    Call("GET", "/internal/files/input", unordered=True),
    Call("GET", "/internal/files/elsewhere", 400),
    Call("PATCH", "/internal/logs/subscribe", 200, {"json": {"clientId": "nobody", "enabled": False}}),
    Call("POST", "/no/such/page", 405),
]


@PREFIXES
def test_the_server_and_what_it_has(pair: Pair, prefix: str):
    assert walk(pair, SERVER, prefix) == []


def test_what_is_served_without_a_twin(pair: Pair):
    assert walk(pair, UNDOUBLED, "") == []


def test_the_log_is_a_log(pair: Pair):
    for server in pair.both:
        raw = server.get("/internal/logs/raw").json()
        assert set(raw) == {"entries", "size"}
        assert all(set(entry) == {"t", "m"} for entry in raw["entries"])
        assert "Starting server" in server.get("/internal/logs").json()


# -- pictures ------------------------------------------------------------------------------------------------------------


def _png(color: tuple[int, ...], mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (8, 8), color).save(buffer, format="PNG")
    return buffer.getvalue()


def _upload(name: str, content: bytes, **fields: str) -> dict[str, Any]:
    return {"files": {"image": (name, content, "image/png")}, "data": fields}


def _pictures(name: str) -> list[Call]:
    red, blue, clear = _png((255, 0, 0)), _png((0, 0, 255)), _png((0, 255, 0, 128), "RGBA")
    original = json.dumps({"filename": f"{name}.png", "type": "input", "subfolder": ""})
    return [
        Call("POST", "/upload/image", 200, _upload(f"{name}.png", red)),
        Call("POST", "/upload/image", 200, _upload(f"{name}.png", red)),  # the same bytes: the same name
        Call("POST", "/upload/image", 200, _upload(f"{name}.png", blue)),  # other bytes: a counted name
        Call("POST", "/upload/image", 200, _upload(f"{name}.png", red, overwrite="true")),
        Call("POST", "/upload/image", 200, _upload("part.png", red, subfolder=name, type="temp")),
        Call("POST", "/upload/image", 400, _upload("out.png", red, subfolder="../..")),
        Call("POST", "/upload/image", 400, {"files": {"picture": ("a.png", red)}}),
        Call("POST", "/upload/mask", 200, _upload(f"{name}-mask.png", clear, original_ref=original)),
        Call("GET", f"/view?filename={name}.png"),
        Call("GET", f"/view?filename={name}.png&type=input"),
        Call("GET", f"/view?filename={name}-mask.png&type=input"),
        Call("GET", f"/view?filename={name}.png&type=input&preview=webp;50"),
        Call("GET", f"/view?filename={name}.png&type=input&channel=rgb"),
        Call("GET", f"/view?filename={name}-mask.png&type=input&channel=a"),
        Call("GET", f"/view?filename=part.png&type=temp&subfolder={name}"),
        Call("GET", f"/view?filename={name}.png&type=input", 206, {"headers": {"Range": "bytes=0-9"}}),
        Call("GET", "/view?filename=../secret.png", 400),
        Call("GET", f"/view?filename={name}.png&type=input&subfolder=../..", 403),
        Call("GET", f"/view?filename={name}.png&type=attic", 400),
        Call("GET", "/view", 404),
    ]


@PREFIXES
def test_pictures_go_in_and_come_out(pair: Pair, prefix: str):
    calls = _pictures(f"picture{prefix.strip('/')}")
    calls[8] = Call("GET", calls[8].path, 404)  # without a type it is looked for among the outputs
    assert walk(pair, calls, prefix) == []


# -- users, their files and settings -------------------------------------------------------------------------------------


def _user_files(name: str) -> list[Call]:
    flow = f"workflows%2F{name}.json"
    return [
        Call("GET", "/users"),
        Call("GET", "/userdata", 400),
        Call("GET", f"/userdata?dir={name}", 404),
        Call("POST", f"/userdata/{flow}", 200, {"data": b'{"nodes": []}'}),
        Call("POST", f"/userdata/{flow}?overwrite=false", 409, {"data": b"{}"}),
        Call("POST", f"/userdata/{flow}?full_info=true", 200, {"data": b'{"nodes": [1]}'}),
        Call("GET", f"/userdata/{flow}"),
        Call("GET", "/userdata?dir=workflows", unordered=True),
        Call("GET", "/userdata?dir=workflows&recurse=true&split=true", unordered=True),
        Call("GET", "/userdata?dir=workflows&recurse=true&full_info=true", unordered=True),
        Call("GET", "/v2/userdata", unordered=True),
        Call("GET", "/v2/userdata?path=workflows", unordered=True),
        Call("GET", "/v2/userdata?path=../..", 400),
        Call("GET", "/v2/userdata?path=nowhere", 404),
        Call("POST", f"/userdata/{flow}/move/workflows%2F{name}-moved.json"),
        Call("POST", f"/userdata/{flow}/move/workflows%2Fagain.json", 404),
        Call("GET", f"/userdata/{flow}", 404),
        Call("GET", f"/userdata/workflows%2F{name}-moved.json"),
        Call("DELETE", f"/userdata/workflows%2F{name}-moved.json", 204),
        Call("DELETE", f"/userdata/workflows%2F{name}-moved.json", 404),
        Call("GET", "/userdata/..%2F..%2Fsecret", 403),
        Call("GET", "/settings"),
        Call("POST", "/settings", 200, {"json": {f"Walk.{name}": [1, {"two": None}]}}),
        Call("POST", f"/settings/Walk.{name}.single", 200, {"json": "text"}),
        Call("GET", f"/settings/Walk.{name}.single"),
        Call("GET", "/settings/Walk.unheard_of"),
        Call("GET", "/settings"),
    ]


@PREFIXES
def test_users_their_files_and_settings(pair: Pair, prefix: str):
    assert walk(pair, _user_files(f"flow{prefix.strip('/')}"), prefix) == []
