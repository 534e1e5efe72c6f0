"""Every example runs as its reader would run it, against a real server: what it prints, saves and exits with."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from tests.host.jobs_client import job, occupy, submit, until_ended
from tests.host.stock_walk import TEST_NODES, open_gate
from tests.support.comfy_server import RealComfyUI, free_port
from tests.support.examples import EXAMPLES, example_module
from tests.support.waiting import wait_until

RUN_DEADLINE_S = 300

TINY = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "example"}},
}
UNKNOWN_CLASS = {"1": {"class_type": "EmptyImge", "inputs": {}}}
FAILING = {"7": {"class_type": "ExpeditorTestRaises", "inputs": {"error": "RuntimeError", "text": "the brush broke"}}}


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    """With the test nodes, and with the example pack beside Expeditor."""
    with RealComfyUI(packs=[TEST_NODES, EXAMPLES / "custom_route"]) as running:
        yield running


@pytest.fixture(scope="module")
def quickstart() -> ModuleType:
    return example_module("quickstart")


def command(server_url: str, name: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), *map(str, arguments), "--url", server_url]


def run(server_url: str, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """One example as a process of its own."""
    return subprocess.run(
        command(server_url, name, *arguments), capture_output=True, text=True, timeout=RUN_DEADLINE_S, check=False
    )


def written(folder: Path, prompt: Any) -> Path:
    """A prompt as the file that examples take."""
    file = folder / "prompt.json"
    file.write_text(json.dumps(prompt), encoding="utf-8")
    return file


# -- quickstart.py -----------------------------------------------------------------------------------------------------


def test_quickstart_paints_an_uploaded_picture(server: RealComfyUI, tmp_path: Path) -> None:
    picture = tmp_path / "two colours.png"
    Image.linear_gradient("L").resize((48, 32)).convert("RGB").save(picture)
    done = run(server.url, "quickstart.py", "--image", picture, "--priority", "7", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    (saved,) = (tmp_path / "out").iterdir()
    assert f"saved {saved}" in done.stdout
    with Image.open(saved) as painted, Image.open(picture) as given:
        assert painted.size == (48, 32)
        assert painted.convert("RGB").tobytes() != given.tobytes()
    newest = server.get("/expeditor/jobs?limit=1").json()["jobs"][0]
    assert (newest["priority"], newest["status"]) == (7, "succeeded")
    assert newest["id"] in done.stdout


@pytest.mark.parametrize("style", ["vangogh", "sketch"])
def test_quickstarts_own_scene_is_a_valid_prompt(server: RealComfyUI, quickstart: ModuleType, style: str) -> None:
    prompt = quickstart.styled(server.url, argparse.Namespace(style=style, image=None))
    assert {"class_type": "StyleTransferNode", "style": style} in [
        {"class_type": node["class_type"], "style": node["inputs"].get("style")} for node in prompt.values()
    ]
    assert server.post("/expeditor/validate", json={"prompt": prompt}).json()["valid"] is True


@pytest.mark.full
def test_quickstart_as_the_readme_says_it(server: RealComfyUI, tmp_path: Path) -> None:
    done = run(server.url, "quickstart.py", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.png"))) == 1


def test_quickstart_runs_a_prompt_of_yours_again_from_the_cache(server: RealComfyUI, tmp_path: Path) -> None:
    """A cached job is over in a moment: the case where a socket that is opened too late waits for ever."""
    for _ in range(2):
        done = run(server.url, "quickstart.py", "--prompt", written(tmp_path, TINY), "--out", tmp_path)
        assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.png"))) == 1


def test_quickstart_prints_every_fault_of_a_refusal(server: RealComfyUI, tmp_path: Path) -> None:
    two = {**UNKNOWN_CLASS, "2": {"class_type": "SaveImge", "inputs": {}}}
    done = run(server.url, "quickstart.py", "--prompt", written(tmp_path, two))
    assert done.returncode == 1
    assert "UNKNOWN_NODE" in done.stderr
    assert "/prompt/1/class_type" in done.stderr
    assert "/prompt/2/class_type" in done.stderr
    assert "did you mean 'EmptyImage'" in done.stderr


def test_quickstart_prints_the_range_for_a_wrong_priority(server: RealComfyUI, tmp_path: Path) -> None:
    done = run(server.url, "quickstart.py", "--prompt", written(tmp_path, TINY), "--priority", "11")
    assert done.returncode == 1
    assert "1 to 10" in done.stderr


def test_quickstart_says_which_node_failed(server: RealComfyUI, tmp_path: Path) -> None:
    done = run(server.url, "quickstart.py", "--prompt", written(tmp_path, FAILING))
    assert done.returncode == 1
    assert "failed (NODE_ERROR)" in done.stdout
    assert "node 7 (ExpeditorTestRaises): " in done.stderr
    assert "the brush broke" in done.stderr


def test_quickstart_ends_when_its_job_is_canceled_in_the_line(server: RealComfyUI, tmp_path: Path) -> None:
    """ComfyUI says nothing on its socket about a job that never ran."""
    occupy(server, "example")
    waiting = subprocess.Popen(
        command(server.url, "quickstart.py", "--prompt", written(tmp_path, TINY)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        queued = wait_until(
            lambda: server.get("/expeditor/jobs?status=queued").json()["jobs"], what="its job in the line"
        )
        server.post(f"/expeditor/jobs/{queued[0]['id']}/cancel")
        said, _ = waiting.communicate(timeout=60)
    finally:
        open_gate(server, "example")
        waiting.kill()
    assert waiting.returncode == 1
    assert "canceled (CANCELED)" in said


def test_quickstart_without_a_server_is_one_sentence(tmp_path: Path) -> None:
    done = run(f"http://127.0.0.1:{free_port()}", "quickstart.py", "--prompt", written(tmp_path, TINY))
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_quickstart_on_a_comfyui_without_expeditor_says_so(stock_server: RealComfyUI, tmp_path: Path) -> None:
    done = run(stock_server.url, "quickstart.py", "--prompt", written(tmp_path, TINY))
    assert done.returncode == 1
    assert "is Expeditor installed there?" in done.stderr


# -- strict_validation.py as a program (its verdicts: test_strict_validation.py) -----------------------------------------


def test_strict_validation_tells_valid_and_faulty_prompts_apart(server: RealComfyUI, tmp_path: Path) -> None:
    good = run(server.url, "strict_validation.py", written(tmp_path, TINY))
    assert (good.returncode, good.stdout.strip()) == (0, "valid: 2 nodes")
    bad = run(server.url, "strict_validation.py", written(tmp_path, UNKNOWN_CLASS))
    assert bad.returncode == 1
    assert bad.stderr.strip() == "/1/class_type: unknown class 'EmptyImge', did you mean EmptyImage?"


# -- json_logging.py -----------------------------------------------------------------------------------------------------


def test_json_logging_tells_who_which_job_how_large_and_how_long(server: RealComfyUI, tmp_path: Path) -> None:
    done = run(server.url, "json_logging.py", written(tmp_path, TINY), "--priority", "9")
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stderr)
    assert (line["level"], line["event"], line["status"]) == ("INFO", "submit.done", 201)
    assert line["job_id"] == done.stdout.strip()
    assert line["prompt_length"] == len(json.dumps(TINY))
    assert line["duration_s"] > 0
    known = job(server, line["job_id"])
    assert (known["principal"], known["priority"]) == (line["client_id"], 9)


def test_json_logging_of_a_refusal_has_its_code_and_traceback_but_no_prompt(
    server: RealComfyUI, tmp_path: Path
) -> None:
    done = run(server.url, "json_logging.py", written(tmp_path, UNKNOWN_CLASS))
    assert done.returncode == 1
    line = json.loads(done.stderr)
    assert (line["level"], line["code"], line["status"]) == ("ERROR", "UNKNOWN_NODE", 422)
    assert "HTTPError" in line["exc_info"]
    assert "EmptyImge" not in done.stderr


# -- client_metrics.py ---------------------------------------------------------------------------------------------------


def samples(exposition: str) -> dict[tuple[str, ...], float]:
    """``(sample, label values in the order of their names...)`` to value."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


def test_client_metrics_count_and_time_every_submit(server: RealComfyUI, tmp_path: Path) -> None:
    done = run(server.url, "client_metrics.py", written(tmp_path, TINY), "--times", "3")
    assert done.returncode == 0, done.stderr
    told = samples(done.stdout)
    assert told["api_requests_total", "/expeditor/submit", "POST", "201"] == 3
    assert told["api_latency_seconds_count", "/expeditor/submit"] == 3
    assert told["api_latency_seconds_sum", "/expeditor/submit"] > 0
    assert not [name for name, *_ in told if name == "api_errors_total"]


def test_client_metrics_count_refusals_by_code(server: RealComfyUI, tmp_path: Path) -> None:
    done = run(server.url, "client_metrics.py", written(tmp_path, UNKNOWN_CLASS))
    assert done.returncode == 1
    told = samples(done.stdout)
    assert told["api_errors_total", "UNKNOWN_NODE", "/expeditor/submit"] == 1
    assert told["api_requests_total", "/expeditor/submit", "POST", "422"] == 1


# -- custom_route/ -------------------------------------------------------------------------------------------------------

READ_MESSAGE = {
    "5": {"class_type": "CustomRouteLastMessage", "inputs": {}},
    "6": {"class_type": "PreviewAny", "inputs": {"source": ["5", 0]}},
}


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_custom_route_takes_form_data_and_its_node_reads_it(server: RealComfyUI, prefix: str) -> None:
    for text in (f"hello{prefix}", f"again{prefix}"):
        form = {"node_id": (None, "5"), "message": (None, text)}
        answer = server.post(f"{prefix}/custom_route/messages", files=form)
        assert (answer.status_code, answer.json()) == (200, {"node_id": "5", "length": len(text)})
        ended = until_ended(server, submit(server, READ_MESSAGE)["id"])
        history = server.get(f"/history/{ended['id']}").json()
        assert history[ended["id"]]["outputs"]["6"]["text"] == [text]


def test_custom_route_refuses_what_is_no_message(server: RealComfyUI) -> None:
    assert server.post("/custom_route/messages", json={"node_id": "5", "message": "hi"}).status_code == 415
    assert server.post("/custom_route/messages", data={"node_id": "5"}).status_code == 400
    assert server.post("/custom_route/messages", data={"node_id": "5", "message": "x" * 10_001}).status_code == 413


def test_custom_routes_script_is_listed_and_served(server: RealComfyUI) -> None:
    path = "/extensions/custom_route/js/custom_route.js"
    assert path in server.get("/extensions").json()
    script = server.get(path)
    assert script.headers["Content-Type"].split(";")[0] in {"text/javascript", "application/javascript"}
    assert "export async function send_message(node_id, message)" in script.text
    assert "api.fetchApi(" in script.text


# -- backoff_client.py (against a full queue: test_backpressure.py) --------------------------------------------------------


def test_backoff_client_prints_each_accepted_job(server: RealComfyUI, tmp_path: Path) -> None:
    done = run(server.url, "backoff_client.py", written(tmp_path, TINY), "--times", "3")
    assert done.returncode == 0, done.stderr
    assert [job(server, job_id)["status"] for job_id in done.stdout.split()] == ["succeeded"] * 3
