"""Who still needs a file that came with a submit: the last request of a name takes it away, unless a job may need it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from expeditor.host.uploads import InputUploads
from expeditor.intake.upload_names import STORED, Uploaded, stored_name, with_files
from expeditor.intake.uploads import UploadDesk, UploadLimits
from expeditor.jobs.errors import Conflict, InputInvalid, StoreUnavailable
from tests.support.waiting import wait_until_async


@pytest.fixture
def desk(tmp_path) -> UploadDesk:
    folder = InputUploads({"input": str(tmp_path / "input")}.get, tmp_path / "staging", STORED)
    return UploadDesk(folder, UploadLimits(files=5, size_bytes=1_000))


def left(tmp_path) -> int:
    return len(list((tmp_path / "input").iterdir()))


async def chunks(*parts: bytes):
    for part in parts:
        yield part


async def received(desk: UploadDesk):
    """One request that has brought a file, and is not over yet."""
    uploads = await desk.open().__aenter__()
    await uploads.receive("files", "a.png", chunks(b"by", b"tes"))
    assert len(uploads.complete()) == 1
    return uploads


async def over(uploads, error: BaseException | None = None) -> None:
    await uploads.__aexit__(type(error) if error else None, error, None)


@pytest.mark.parametrize("order", ["accepted first", "refused first"])
async def test_a_refused_request_leaves_the_file_of_an_accepted_one(desk, tmp_path, order):
    accepted, refused = await received(desk), await received(desk)
    assert desk.held == 1
    first, second = ((accepted, None), (refused, Conflict()))[:: 1 if order == "accepted first" else -1]
    await over(*first)
    await over(*second)
    assert (left(tmp_path), desk.held) == (1, 0)


async def test_of_two_that_are_refused_the_last_one_takes_it_away(desk, tmp_path):
    one, other = await received(desk), await received(desk)
    await over(one, Conflict())
    assert left(tmp_path) == 1
    await over(other, Conflict())
    assert (left(tmp_path), desk.held) == (0, 0)


async def test_a_file_that_was_there_before_is_nobodys_to_take(desk, tmp_path):
    await over(await received(desk))
    await over(await received(desk), Conflict())
    assert left(tmp_path) == 1


async def test_a_file_that_is_sent_again_while_it_is_taken_away_is_there(tmp_path):
    asked, may = threading.Event(), threading.Event()

    class SlowToRemove(InputUploads):
        def remove(self, name: str) -> None:
            asked.set()
            assert may.wait(20)
            super().remove(name)

    folder = SlowToRemove({"input": str(tmp_path / "input")}.get, tmp_path / "staging", STORED)
    desk = UploadDesk(folder, UploadLimits(files=5, size_bytes=1_000))
    refused = asyncio.ensure_future(over(await received(desk), Conflict()))
    await wait_until_async(asked.is_set)
    again = asyncio.ensure_future(received(desk))
    await asyncio.wait((again,), timeout=0.3)  # as far as it gets
    may.set()
    await refused
    await over(await again)
    assert (left(tmp_path), desk.held) == (1, 0)


@pytest.mark.parametrize(("error", "stays"), [(StoreUnavailable(), 1), (RuntimeError(), 1), (Conflict(), 0)])
async def test_where_nobody_can_say_whether_the_job_is_in_the_file_stays(desk, tmp_path, error, stays):
    await over(await received(desk), error)
    assert left(tmp_path) == stays


@pytest.mark.parametrize("error", [StoreUnavailable(), RuntimeError(), Conflict()])
async def test_a_request_that_was_not_complete_leaves_nothing(desk, tmp_path, error):
    uploads = await desk.open().__aenter__()
    await uploads.receive("files", "a.png", chunks(b"bytes"))
    await over(uploads, error)
    assert (left(tmp_path), desk.held) == (0, 0)


def test_a_name_is_the_same_for_the_same_bytes_and_another_for_others():
    assert stored_name("a.png", "0" * 64) == stored_name("dir/a.png", "0" * 64)
    assert stored_name("a.png", "0" * 64) != stored_name("a.png", "1" * 64)
    assert stored_name("a.png", "0" * 64) != stored_name("b.png", "0" * 64)


def test_the_prompt_that_was_sent_is_left_as_it_is():
    fields = {"prompt": {"1": {"class_type": "A", "inputs": {"image": "a.png"}}}}
    changed = with_files(fields, [Uploaded("files", "a.png", "stored")])
    assert changed["prompt"]["1"]["inputs"]["image"] == "stored"
    assert fields["prompt"]["1"]["inputs"]["image"] == "a.png"


def test_of_nodes_whose_ids_have_dots_the_longest_wins():
    prompt = {"1": {"class_type": "A", "inputs": {}}, "1.2": {"class_type": "A", "inputs": {}}}
    changed = with_files({"prompt": prompt}, [Uploaded("file:1.2.image", "a.png", "stored")])
    assert changed["prompt"]["1.2"]["inputs"] == {"image": "stored"}
    assert changed["prompt"]["1"]["inputs"] == {}


def test_a_file_without_a_use_is_refused_with_a_hint():
    with pytest.raises(InputInvalid) as refused:
        with_files({"prompt": {"1": {"class_type": "A", "inputs": {}}}}, [Uploaded("files", "a.png", "stored")])
    assert "file:<node id>.<input>" in (refused.value.faults[0].hint or "")
