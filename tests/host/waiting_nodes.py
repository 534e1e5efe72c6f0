"""What the tests of nodes that wait share: prompts, and a person at the other end who answers over HTTP."""

from __future__ import annotations

from contextlib import contextmanager

from tests.support.waiting import wait_until

COLOURS = (0xFF0000, 0x00FF00, 0x0000FF, 0xFFFFFF)
APPROVE = {"label": "Good?", "timeout_s": 60, "on_timeout": "reject", "on_reject": "block", "text": "a heron"}
PICK = {"label": "Which?", "least": 1, "most": 2, "timeout_s": 60, "on_timeout": "first"}


@contextmanager
def left_idle(server):
    """The server; at the end the queue is cleared and nothing runs."""
    yield server
    server.post("/queue", json={"clear": True})

    def idle():
        running = server.get("/queue").json()["queue_running"]
        if running:
            server.post("/interrupt")
        return not running

    wait_until(idle, what="an idle server")


def open_waits(server):
    return server.get("/expeditor/messages/pending").json()["pending"]


def pending(server, count=1):
    wait_until(lambda: len(open_waits(server)) == count, what=f"{count} open waits")
    return open_waits(server)


def answer(server, **fields):
    return server.post("/expeditor/messages", data=fields)


def a_batch(count, size=16):
    """Nodes "1" ... that end in one batch of plain pictures, and the link to it."""
    nodes = {str(n): _plain(COLOURS[n - 1], size) for n in range(1, count + 1)}
    link = ["1", 0]
    for n in range(2, count + 1):
        nodes[f"1{n}"] = {"class_type": "ImageBatch", "inputs": {"image1": link, "image2": [str(n), 0]}}
        link = [f"1{n}", 0]
    return nodes, link


def _plain(colour, size):
    return {"class_type": "EmptyImage", "inputs": {"width": size, "height": size, "batch_size": 1, "color": colour}}


def approving(prefix, count=1, **changed):
    """Approve at node 7, save what passes, show text and verdict."""
    nodes, link = a_batch(count)
    return {
        **nodes,
        "7": {"class_type": "ApproveImage", "inputs": {"image": link, **APPROVE, **changed}},
        "20": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": prefix}},
        "21": {"class_type": "PreviewAny", "inputs": {"source": ["7", 1]}},
        "22": {"class_type": "PreviewAny", "inputs": {"source": ["7", 2]}},
    }


def picking(prefix, count=4, **changed):
    """Pick at node 7, save what was picked, show the indices."""
    nodes, link = a_batch(count)
    return {
        **nodes,
        "7": {"class_type": "PickImages", "inputs": {"images": link, **PICK, **changed}},
        "20": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": prefix}},
        "21": {"class_type": "PreviewAny", "inputs": {"source": ["7", 1]}},
    }


def outputs(server, job_id):
    """What each output node showed, by ComfyUI's history."""
    history = wait_until(lambda: server.get(f"/history/{job_id}").json().get(job_id), what="the job's history")
    return history["outputs"]
