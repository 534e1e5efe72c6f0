"""ApproveImage and PickImages in a real ComfyUI: every answer, every deadline, interruption, caching, and the pictures shown."""

from __future__ import annotations

import io
import uuid

import pytest
from PIL import Image

from tests.host.jobs_client import submit, until_ended
from tests.host.waiting_nodes import answer, approving, left_idle, open_waits, outputs, pending, picking
from tests.support.waiting import wait_until

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def server(expeditor_server):
    """The shared server; nothing of the test waits on it afterwards."""
    with left_idle(expeditor_server) as server:
        yield server


@pytest.fixture
def prefix():
    """A file name of this test's own."""
    return f"asking-{uuid.uuid4().hex[:8]}"


def saved(server, prefix):
    """The colours of the saved pictures, in order."""
    return [colour_of(file) for file in sorted((server.base / "output").glob(f"{prefix}*.png"))]


def colour_of(file):
    with Image.open(file) as picture:
        return picture.convert("RGB").getpixel((4, 4))


def wait_folders(server):
    return list(server.base.rglob("waits/*"))


def test_what_is_approved_passes_with_its_text(server, prefix):
    job_id = submit(server, approving(prefix, count=2))["id"]
    (wait,) = pending(server)
    assert (wait["kind"], wait["label"], wait["text"], len(wait["images"])) == ("approve", "Good?", "a heron", 2)
    assert answer(server, message="approve", node_id="7").status_code == 200
    assert until_ended(server, job_id)["status"] == "succeeded"
    shown = outputs(server, job_id)
    assert (shown["21"]["text"], shown["22"]["text"]) == (["a heron"], ["True"])
    assert saved(server, prefix) == [RED, GREEN]


def test_the_text_can_be_edited(server, prefix):
    job_id = submit(server, approving(prefix))["id"]
    pending(server)
    assert answer(server, message='{"approved": true, "text": "an egret é"}', node_id="7").status_code == 200
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert outputs(server, job_id)["21"]["text"] == ["an egret é"]


def test_what_is_rejected_is_blocked_and_the_rest_of_the_job_goes_on(server, prefix):
    job_id = submit(server, approving(prefix))["id"]
    pending(server)
    answer(server, message="reject", node_id="7")
    assert until_ended(server, job_id)["status"] == "succeeded"
    shown = outputs(server, job_id)
    assert (set(shown), shown["22"]["text"]) == ({"22"}, ["False"])
    assert saved(server, prefix) == []


def test_what_is_rejected_may_fail_the_job_once(server, prefix):
    job_id = submit(server, approving(prefix, on_reject="fail"))["id"]
    pending(server)
    answer(server, message="reject", node_id="7")
    job = until_ended(server, job_id)
    assert (job["status"], job["cause"], job["attempt"]) == ("failed", "NODE_ERROR", 1)
    assert "'Good?' was rejected" in job["error"]["message"]


@pytest.mark.parametrize(
    ("on_timeout", "status", "verdict"),
    [("approve", "succeeded", "True"), ("reject", "succeeded", "False"), ("fail", "failed", None)],
)
def test_approval_at_the_deadline(server, prefix, on_timeout, status, verdict):
    job_id = submit(server, approving(prefix, timeout_s=0.2, on_timeout=on_timeout))["id"]
    job = until_ended(server, job_id)
    assert job["status"] == status
    if verdict is None:
        assert "Nobody answered 'Good?' within 0.2 s" in job["error"]["message"]
        return
    assert outputs(server, job_id)["22"]["text"] == [verdict]
    assert saved(server, prefix) == ([RED] if verdict == "True" else [])


def test_pictures_go_on_in_the_order_in_which_they_were_chosen(server, prefix):
    job_id = submit(server, picking(prefix))["id"]
    (wait,) = pending(server)
    assert (wait["kind"], wait["least"], wait["most"], len(wait["images"])) == ("pick", 1, 2, 4)
    assert answer(server, message="2,0", node_id="7").status_code == 200
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert outputs(server, job_id)["21"]["text"] == ["2,0"]
    assert saved(server, prefix) == [BLUE, RED]


@pytest.mark.parametrize("message", ["4", "0,1,2", "", "first"])
def test_a_choice_that_does_not_fit_changes_nothing(server, prefix, message):
    job_id = submit(server, picking(prefix))["id"]
    (wait,) = pending(server)
    refused = answer(server, message=message, node_id="7")
    assert (refused.status_code, refused.json()["error"]["errors"][0]["pointer"]) == (422, "/message")
    assert open_waits(server) == [wait]
    answer(server, message="3", node_id="7")
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert saved(server, prefix) == [WHITE]


@pytest.mark.parametrize(
    ("changed", "colours"),
    [
        ({"on_timeout": "first"}, [RED]),
        ({"on_timeout": "first", "least": 2}, [RED, GREEN]),
        ({"on_timeout": "first", "least": 0}, [RED]),
        ({"on_timeout": "all"}, [RED, GREEN, BLUE, WHITE]),
        ({"on_timeout": "none"}, []),
    ],
)
def test_a_choice_at_the_deadline(server, prefix, changed, colours):
    job_id = submit(server, picking(prefix, timeout_s=0.2, **changed))["id"]
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert saved(server, prefix) == colours


def test_a_choice_may_fail_at_the_deadline(server, prefix):
    job_id = submit(server, picking(prefix, timeout_s=0.2, on_timeout="fail"))["id"]
    job = until_ended(server, job_id)
    assert (job["status"], job["cause"]) == ("failed", "NODE_ERROR")
    assert "Which?" in job["error"]["message"]


def test_none_may_be_chosen_where_none_must_be_and_any_number_where_most_is_zero(server, prefix):
    job_id = submit(server, picking(prefix, least=0, most=0))["id"]
    (wait,) = pending(server)
    assert (wait["least"], wait["most"]) == (0, 4)
    answer(server, message="", node_id="7")
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert (saved(server, prefix), set(outputs(server, job_id))) == ([], {"21"})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"least": 5, "most": 0}, "At least 5 are to be chosen, but the batch has 4"),
        ({"least": 3}, "least is 3 and most is 2"),
    ],
)
def test_what_nobody_could_answer_fails_at_once(server, prefix, changed, said):
    job = until_ended(server, submit(server, picking(prefix, **changed))["id"])
    assert job["status"] == "failed"
    assert said in job["error"]["message"]


@pytest.mark.parametrize("prompt", [approving, picking], ids=["approve", "pick"])
def test_the_same_prompt_asks_again_every_time(server, prefix, prompt):
    tokens = set()
    for _ in range(2):
        job_id = submit(server, prompt(prefix))["id"]
        tokens.add(pending(server)[0]["token"])
        answer(server, message="approve" if prompt is approving else "0", node_id="7")
        assert until_ended(server, job_id)["status"] == "succeeded"
    assert len(tokens) == 2


@pytest.mark.parametrize("prompt", [approving, picking], ids=["approve", "pick"])
def test_an_interruption_ends_the_wait_and_its_pictures(server, prefix, prompt):
    job_id = submit(server, prompt(prefix))["id"]
    (wait,) = pending(server)
    assert server.get(wait["images"][0]["url"]).status_code == 200
    assert server.post("/interrupt").status_code == 200
    assert until_ended(server, job_id)["status"] == "canceled"
    assert open_waits(server) == []
    assert server.get(wait["images"][0]["url"]).status_code == 410
    assert answer(server, message="0", node_id="7").status_code == 410
    wait_until(lambda: wait_folders(server) == [], what="no pictures left")


def test_the_pictures_shown_are_those_of_the_batch(server, prefix):
    submit(server, picking(prefix))
    (wait,) = pending(server)
    found = [server.get(image["url"]) for image in wait["images"]]
    assert {each.headers["Content-Type"] for each in found} == {"image/jpeg"}
    colours = [Image.open(io.BytesIO(each.content)).getpixel((4, 4)) for each in found]
    assert [tuple(round(value / 255) * 255 for value in colour) for colour in colours] == [RED, GREEN, BLUE, WHITE]
    assert server.get(wait["images"][0]["url"].replace("images/0", "images/4")).status_code == 404


def test_alpha_is_shown_and_passed_on(server, prefix):
    prompt = picking(prefix, count=1, most=1)
    mask = {"class_type": "SolidMask", "inputs": {"value": 0.5, "width": 16, "height": 16}}
    prompt |= {
        "30": mask,
        "31": {"class_type": "JoinImageWithAlpha", "inputs": {"image": ["1", 0], "alpha": ["30", 0]}},
    }
    prompt["7"]["inputs"]["images"] = ["31", 0]
    job_id = submit(server, prompt)["id"]
    (wait,) = pending(server)
    picture = server.get(wait["images"][0]["url"])
    assert picture.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(picture.content)).getpixel((4, 4))[3] == 128
    answer(server, message="0", node_id="7")
    assert until_ended(server, job_id)["status"] == "succeeded"
    (file,) = (server.base / "output").glob(f"{prefix}*.png")
    with Image.open(file) as passed_on:
        assert passed_on.mode == "RGBA"
