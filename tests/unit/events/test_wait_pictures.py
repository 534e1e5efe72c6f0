"""Pictures of waits on disk: as long as their wait is open, whatever happens, and not longer."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from expeditor.events.mailbox import Mailbox
from expeditor.events.wait_pictures import NotStored, WaitPictures
from expeditor.jobs.errors import Gone, NotFound
from expeditor.jobs.waits import Ask, AskKind, Picture
from tests.support.waiting import wait_until

TWO = (Picture("image/jpeg", b"a jpeg"), Picture("image/png", b"a png"))
PICK = Ask(AskKind.PICK, pictures=2)


class Boxes:
    """A mailbox on a folder; `again` is the next process on the same folder."""

    def __init__(self, folder):
        self.folder = folder
        self.numbers = itertools.count(1)
        self.again()

    def again(self):
        self.box = Mailbox(lambda: 1000.0, lambda: f"token-{next(self.numbers)}", WaitPictures(self.folder))

    def open(self, ask=PICK, pictures=TWO):
        return self.box.open("job", "7", ask=ask, deadline_s=60, pictures=pictures)

    def left(self):
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def boxes(tmp_path):
    return Boxes(tmp_path / "waits")


def test_pictures_can_be_seen_until_the_wait_is_over(boxes):
    wait = boxes.open()
    assert [boxes.box.picture(wait.token, n) for n in (0, 1)] == list(TWO)
    with pytest.raises(NotFound):
        boxes.box.picture(wait.token, 2)
    boxes.box.deliver("1", "7")
    assert boxes.box.picture(wait.token, 1) == TWO[1], "answered, but its node has not seen it yet"
    boxes.box.close(wait.token)
    with pytest.raises(Gone):
        boxes.box.picture(wait.token, 0)
    wait_until(lambda: boxes.left() == [], what="an empty folder")


@pytest.mark.parametrize("token", ["none", "", "..", "../waits", "."])
def test_there_are_no_pictures_of_what_is_no_wait(boxes, token):
    boxes.open()
    (boxes.folder / "0.jpg").write_bytes(b"none of ours")
    with pytest.raises(NotFound):
        boxes.box.picture(token, 0)


def test_a_question_without_pictures_touches_no_disk(boxes):
    boxes.box.close(boxes.open(Ask(), ()).token)
    assert not boxes.folder.exists()


def test_a_hundred_waits_leave_nothing(boxes):
    for wait in [boxes.open() for _ in range(100)]:
        boxes.box.close(wait.token)
    wait_until(lambda: boxes.left() == [], what="an empty folder")


def test_what_a_dead_process_left_goes_at_the_next_start_but_for_waits_that_go_on(boxes):
    gone, parked = boxes.open(), boxes.open()
    boxes.again()
    boxes.box.reopen(parked.pending)
    new = boxes.open()
    boxes.box.sweep_pictures()
    assert boxes.left() == sorted([parked.token, new.token])
    assert boxes.box.picture(parked.token, 0) == TWO[0]
    with pytest.raises(NotFound):
        boxes.box.picture(gone.token, 0)
    boxes.box.close(parked.token)
    wait_until(lambda: boxes.left() == [new.token], what="the new wait's pictures alone")


def test_pictures_of_a_parked_job_outlive_the_process_until_its_answer(boxes):
    boxes.box.begin("job", ())
    wait = boxes.open()
    boxes.box.park("job")
    assert boxes.box.close(wait.token) is False, "its job was parked: the question stays"
    assert boxes.box.picture(wait.token, 0) == TWO[0]
    boxes.again()
    boxes.box.keep("job", [wait.record()])
    boxes.box.sweep_pictures()
    assert boxes.box.picture(wait.token, 1) == TWO[1]
    boxes.box.answered(wait.token, "1")
    wait_until(lambda: boxes.left() == [], what="an empty folder")


def test_pictures_of_a_parked_job_go_when_it_is_cancelled_or_was_answered_elsewhere(boxes):
    for over in (lambda wait: boxes.box.end("job"), lambda wait: boxes.box.begin("job", [answered(wait)])):
        boxes.box.begin("job", ())
        wait = boxes.open()
        boxes.box.park("job")
        over(wait)
        wait_until(lambda: boxes.left() == [], what="an empty folder")
        boxes.box.end("job")


def answered(wait):
    return replace(wait.record(), answer="0")


def test_pictures_that_are_being_written_are_not_swept(boxes):
    def swept_meanwhile():
        yield TWO[0]
        boxes.box.sweep_pictures()
        yield TWO[1]

    wait = boxes.open(pictures=swept_meanwhile())
    assert boxes.box.picture(wait.token, 0) == TWO[0]


def test_a_disk_that_takes_no_pictures_begins_no_wait(boxes):
    boxes.folder.write_bytes(b"a file where the folder should be")
    with pytest.raises(NotStored, match=r"cannot be stored for a person to see: \w+"):
        boxes.open()
    assert boxes.box.pending() == ()


def test_what_fails_half_way_leaves_nothing(boxes):
    def interrupted():
        yield TWO[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        boxes.open(pictures=interrupted())
    assert boxes.left() == []
    assert boxes.box.pending() == ()
