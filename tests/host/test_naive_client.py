"""The client that everybody writes: connect, post, read JSON frames until `executing` names no node, fetch the picture.

Kept as such clients are, with the standard library and websocket-client, knowing nothing of Expeditor.
"""

from __future__ import annotations

import io
import json
import urllib.parse
import urllib.request
import uuid
from typing import Any

import websocket
from PIL import Image

from tests.support.comfy_server import RealComfyUI

PROMPT = {
    "3": {"class_type": "EmptyImage", "inputs": {"width": 24, "height": 16, "batch_size": 1, "color": 0xFF8000}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "naive"}},
}


def _get_pictures(address: str, prompt: dict[str, Any]) -> dict[str, list[bytes]]:
    client_id = str(uuid.uuid4())
    socket = websocket.WebSocket()
    socket.connect(f"ws://{address}/ws?clientId={client_id}", timeout=60)
    body = json.dumps({"prompt": prompt, "client_id": client_id}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"http://{address}/prompt", data=body)) as answer:
        prompt_id = json.loads(answer.read())["prompt_id"]
    while True:
        frame = socket.recv()
        if not isinstance(frame, str):
            continue  # previews are binary
        message = json.loads(frame)
        if message["type"] == "executing":
            told = message["data"]
            if told["node"] is None and told["prompt_id"] == prompt_id:
                break
    socket.close()
    with urllib.request.urlopen(f"http://{address}/history/{prompt_id}") as answer:
        outputs = json.loads(answer.read())[prompt_id]["outputs"]
    pictures: dict[str, list[bytes]] = {}
    for node, output in outputs.items():
        for picture in output.get("images", []):
            with urllib.request.urlopen(f"http://{address}/view?{urllib.parse.urlencode(picture)}") as answer:
                pictures.setdefault(node, []).append(answer.read())
    return pictures


def _colour(picture: bytes) -> Any:
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == (24, 16)
        return image.getpixel((0, 0))


def test_a_naive_client_gets_its_picture_from_expeditor(expeditor_server: RealComfyUI):
    pictures = _get_pictures(f"127.0.0.1:{expeditor_server.port}", PROMPT)
    assert {node: [_colour(each) for each in found] for node, found in pictures.items()} == {"9": [(255, 128, 0)]}


def test_a_naive_client_gets_its_picture_again(expeditor_server: RealComfyUI):
    """Everything comes from the cache, and still the end is told and the picture listed."""
    prompt = {
        **PROMPT,
        "9": {"class_type": "SaveImage", "inputs": {**PROMPT["9"]["inputs"], "filename_prefix": "again"}},
    }
    first = _get_pictures(f"127.0.0.1:{expeditor_server.port}", prompt)
    assert _get_pictures(f"127.0.0.1:{expeditor_server.port}", prompt) == first


def test_a_naive_client_gets_its_picture_from_stock(stock_server: RealComfyUI):
    """The same client on a stock server: that it is a fair stand-in for such clients."""
    assert list(_get_pictures(f"127.0.0.1:{stock_server.port}", PROMPT)) == ["9"]
