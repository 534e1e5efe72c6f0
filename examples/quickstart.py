"""From a prompt to a picture on your disk: connect, submit with a priority, watch, save.

    pip install websocket-client
    python examples/quickstart.py
    python examples/quickstart.py --url http://127.0.0.1:8188 --priority 8 --image photo.jpg --style sketch

Besides websocket-client only the standard library is used. Exit code: 0 the picture is saved, 1 the job was refused or
failed (the faults are printed), 2 the server cannot be reached.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import websocket  # of the package websocket-client

WORKFLOW = Path(__file__).parent / "workflows" / "style_transfer_api.json"
ENDED = {"succeeded", "failed", "canceled", "expired"}
LOOK_AGAIN_S = 5.0


def main() -> int:
    """Parse the command line and turn failures into one sentence each."""
    parser = argparse.ArgumentParser(description="Submit a job to Expeditor and save what it makes.")
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="ComfyUI with Expeditor")
    parser.add_argument("--priority", type=int, default=8, help="1 to 10, 10 is most urgent (default 8)")
    parser.add_argument("--image", type=Path, help="paint this picture instead of the built-in scene")
    parser.add_argument("--style", default="vangogh", help="any of the node's list, such as oil, sketch or comic")
    parser.add_argument("--prompt", type=Path, help="run this prompt (a workflow exported in API format) instead")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the pictures (default: here)")
    options = parser.parse_args()
    url = options.url.rstrip("/")
    try:
        prompt = json.loads(options.prompt.read_text("utf-8")) if options.prompt else styled(url, options)
        return run(url, prompt, options.priority, options.out)
    except urllib.error.HTTPError as refusal:
        print(explain(refusal), file=sys.stderr)
        return 1
    except ValueError as fault:  # of json
        print(f"{options.prompt} is not JSON: {fault}", file=sys.stderr)
        return 1
    except (OSError, websocket.WebSocketException) as fault:
        print(f"{url} cannot be reached, or a file cannot be used: {fault}", file=sys.stderr)
        return 2


def styled(url: str, options: argparse.Namespace) -> dict[str, Any]:
    """The example prompt: a scene made of plain nodes (or your picture, uploaded) -> StyleTransferNode -> SaveImage."""
    prompt = json.loads(WORKFLOW.read_text("utf-8"))
    painter = next(node for node in prompt.values() if node["class_type"] == "StyleTransferNode")
    painter["inputs"]["style"] = options.style
    if options.image:
        saver = next(node for node in prompt.values() if node["class_type"] == "SaveImage")
        loader = {"class_type": "LoadImage", "inputs": {"image": upload(url, options.image)}}
        painter["inputs"]["image"], saver["inputs"]["images"] = ["1", 0], ["2", 0]
        prompt = {"1": loader, "2": painter, "3": saver}
    return prompt


def run(url: str, prompt: dict[str, Any], priority: int, folder: Path) -> int:
    """Submit, wait for the end, save every output."""
    client_id = str(uuid.uuid4())
    # Connect BEFORE submitting: a quick job may be over before a later connection would hear of it.
    address = url.replace("http", "ws", 1) + f"/ws?clientId={client_id}"
    socket = websocket.create_connection(address, timeout=LOOK_AGAIN_S)
    try:
        # 201 means: the job is on the server's disk. It survives a crash or restart of the server.
        body = {"prompt": prompt, "priority": priority, "client_id": client_id}
        job = call(f"{url}/expeditor/submit", body)
        print(f"job {job['id']} accepted with priority {job['priority']}")
        job = wait_for_end(url, job["id"], socket)
    finally:
        socket.close()
    print(f"job {job['id']} {job['status']}" + (f" ({job['cause']})" if job["cause"] else ""))
    if job["status"] != "succeeded":
        error = job["error"] or {}
        where = f"node {error.get('node_id')} ({error.get('class_type')}): " if error.get("node_id") else ""
        print(where + (error.get("message") or "it made nothing"), file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for output in job["outputs"]:
        file = folder / Path(output["name"]).name
        with urllib.request.urlopen(urllib.parse.urljoin(url, output["url"])) as answer:
            file.write_bytes(answer.read())
        print(f"saved {file}")
    return 0


def wait_for_end(url: str, job_id: str, socket: websocket.WebSocket) -> dict[str, Any]:
    """The job once it has ended. The socket says when to look; the job itself has the last word."""
    while (job := call(f"{url}/expeditor/jobs/{job_id}"))["status"] not in ENDED:
        if job["position"]:
            print(f"  {job['position']} in line, done in about {job['eta_s']:.0f} s")
        listen(socket, job_id)
    return job


def listen(socket: websocket.WebSocket, job_id: str) -> None:
    """Read frames until one says that the job is over, or nothing has come for a while."""
    try:
        while not tells_end(socket.recv(), job_id):
            pass
    except websocket.WebSocketTimeoutException:
        pass  # silence proves nothing: look again
    except (OSError, websocket.WebSocketException):
        time.sleep(LOOK_AGAIN_S)  # a lost socket loses no job: ask for it now and then


def tells_end(frame: str | bytes, job_id: str) -> bool:
    """Whether a frame says that the job is over; prints progress on the way."""
    if isinstance(frame, bytes):
        return False  # a preview picture
    message = json.loads(frame)
    told = message.get("data") or {}
    if message["type"] == "progress" and told.get("prompt_id") == job_id:
        print(f"  node {told['node']}: {told['value']} of {told['max']}")
    if message["type"] == "executing":  # ComfyUI's own word for the end of a job
        return told.get("node") is None and told.get("prompt_id") == job_id
    # Expeditor's word also covers what ComfyUI is silent about, such as a job canceled while it waited.
    return message["type"] == "expeditor.event" and told.get("job_id") == job_id and told.get("status") in ENDED


def call(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """GET, or POST when there is a body; the JSON answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def upload(url: str, picture: Path) -> str:
    """Put a picture into ComfyUI's input folder; the name that LoadImage knows it by."""
    boundary = uuid.uuid4().hex
    name = picture.name.replace('"', "")
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    body = head.encode() + picture.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/upload/image", body, headers)) as answer:
        stored = json.load(answer)
    return "/".join(part for part in (stored["subfolder"], stored["name"]) if part)


def explain(refusal: urllib.error.HTTPError) -> str:
    """Every fault of a refused request, with the place it points to."""
    text = refusal.read().decode("utf-8", "replace")
    try:
        error = json.loads(text)["error"]
        lines = [f"refused, {refusal.code} {error['code']}: {error['message']}"]
        lines += [f"  {each['pointer']}: {each['message']} {each['hint'] or ''}".rstrip() for each in error["errors"]]
    except (ValueError, KeyError, TypeError):
        lines = [f"{refusal.url} answered {refusal.code} {refusal.reason}: is Expeditor installed there?"]
    if retry_after := refusal.headers.get("Retry-After"):
        lines.append(f"  try again in {retry_after} s")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
