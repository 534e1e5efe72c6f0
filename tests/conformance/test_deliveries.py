"""The webhooks' outbox: what its contract promises, in memory and on a file, also across restarts and damage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from expeditor.jobs.deliveries import DeliveryAttempt, DeliveryStatus, NewDelivery, TargetOrigin, Verdict, delivery_id
from expeditor.jobs.errors import Internal, StoreUnavailable
from expeditor.store.deliveries import ATTEMPTS_KEPT, DUE_MAX, DeliveryFilter, DeliveryQuery, KeptDeliveries
from expeditor.store.sqlite.deliveries import SqliteDeliveries
from tests.conformance.harness import HandClock, done

HOUR_S = 3_600.0


class Box:
    """An outbox that can be opened again on the same file."""

    def __init__(self, path) -> None:
        self.path = path
        self.clock = HandClock()
        self.store = None

    def start(self):
        if self.store is not None:
            self.store.close()
        self.store = SqliteDeliveries(self.path, self.clock, longest_delay_s=12 * HOUR_S)
        self.damaged = self.store.open()
        return self.store


@pytest.fixture(params=["memory", "file"])
def box(request, tmp_path):
    made = Box(None if request.param == "memory" else tmp_path / "deliveries.sqlite3")
    yield made
    if made.store is not None:
        made.store.close()


@pytest.fixture
def filed(tmp_path):
    made = Box(tmp_path / "deliveries.sqlite3")
    yield made
    if made.store is not None:
        made.store.close()


def message(name, job="job-1", url="https://a.example.com/", origin=TargetOrigin.JOB):
    return NewDelivery(f"msg_{name}", job, "job.succeeded", 1, url, url.split("/")[2] + ":443", origin, "", "{}")


def add(box, *messages, cursor=1):
    return done(box.store.add(messages, cursor, box.clock()))


def due(box, *, closed=(), busy=(), per_place=4):
    found = done(box.store.due(box.clock(), frozenset(closed), frozenset(busy), per_place))
    return [each.message.id for each in found]


def settle(box, name, status, *, after_s=None, number=1, code=None, gone=False):
    box.clock.now_s += 1
    attempt = DeliveryAttempt(number, box.clock(), 0.0, code, None if status is DeliveryStatus.DELIVERED else "no")
    verdict = Verdict(status, None if after_s is None else box.clock() + after_s, gone)
    return done(box.store.settle(f"msg_{name}", attempt, verdict))


DELIVERED, FAILED, PENDING = DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.PENDING


def test_what_is_added_is_due_until_it_is_settled(box):
    box.start()
    assert add(box, message("a"), message("b", job="job-2")) == 2
    assert due(box) == ["msg_a", "msg_b"]
    assert settle(box, "a", DELIVERED, code=200).status is DELIVERED
    assert due(box) == ["msg_b"]


def test_of_very_many_places_those_due_longest_are_given_first(box):
    box.start()
    places = [f"https://{number:04d}.example.com/" for number in range(DUE_MAX + 50)]
    add(box, *(message(str(number), job=f"job-{number}", url=url) for number, url in reversed(list(enumerate(places)))))
    found = due(box)
    assert found == [f"msg_{number}" for number in reversed(range(50, DUE_MAX + 50))]
    assert len(due(box, busy=found)) == 50


def test_a_message_is_kept_once(box):
    box.start()
    add(box, message("a"), cursor=5)
    settle(box, "a", DELIVERED)
    assert add(box, message("a"), message("b", job="job-2"), cursor=7) == 1
    assert due(box) == ["msg_b"]
    assert done(box.store.cursor()) == 7


def test_the_id_of_a_message_is_that_of_its_event_and_target():
    one = delivery_id("job", "job.failed", 3, "https://a/")
    assert one == delivery_id("job", "job.failed", 3, "https://a/")
    others = {
        delivery_id("job", "job.failed", 4, "https://a/"),
        delivery_id("joc", "job.failed", 3, "https://a/"),
        delivery_id("job", "job.failed", 3, "https://b/"),
    }
    assert one not in others
    assert len(others) == 3


def test_messages_of_a_job_to_one_url_go_one_after_the_other(box):
    box.start()
    add(box, message("a"), message("b"), message("c", url="https://b.example.com/"))
    add(box, message("d"))
    assert due(box) == ["msg_a", "msg_c"]
    settle(box, "a", PENDING, after_s=100)
    assert due(box) == ["msg_c"]
    settle(box, "a", FAILED, number=2)
    assert due(box) == ["msg_b", "msg_c"] or due(box) == ["msg_c", "msg_b"]
    settle(box, "b", DELIVERED)
    assert "msg_d" in due(box)


def test_a_try_that_failed_is_due_again_at_its_time(box):
    box.start()
    add(box, message("a"))
    settle(box, "a", PENDING, after_s=30)
    assert due(box) == []
    box.clock.now_s += 30
    assert due(box) == ["msg_a"]
    told = done(box.store.get("msg_a"))
    assert (told.delivery.attempts, told.delivery.tries, [each.error for each in told.attempts]) == (1, 1, ["no"])


def test_places_that_rest_and_ids_that_run_are_left_out(box):
    box.start()
    add(box, *(message(f"a{n}", job=f"j{n}") for n in range(6)))
    add(box, *(message(f"b{n}", job=f"j{n}", url="https://b.example.com/") for n in range(2)))
    assert due(box, closed={"a.example.com:443"}) == ["msg_b0", "msg_b1"]
    assert due(box, busy={"msg_a0", "msg_b1"}, per_place=2) == ["msg_a1", "msg_a2", "msg_b0"]


def test_a_target_of_a_job_that_is_gone_hears_no_more(box):
    box.start()
    add(box, message("a"), message("b"), message("c", job="job-2"))
    settle(box, "a", FAILED, code=410, gone=True)
    assert done(box.store.get("msg_b")).delivery.status is FAILED
    assert due(box) == ["msg_c"]
    assert add(box, message("d"), message("e", job="job-2")) == 1
    assert done(box.store.get("msg_d")) is None


def test_a_target_of_the_settings_that_says_gone_loses_that_message_only(box):
    box.start()
    add(box, message("a", origin=TargetOrigin.SERVER), message("b", origin=TargetOrigin.SERVER))
    settle(box, "a", FAILED, code=410, gone=True)
    assert due(box) == ["msg_b"]


def test_a_replay_begins_to_count_anew_and_keeps_what_was_tried(box):
    box.start()
    add(box, message("a"))
    for number in range(1, 4):
        settle(box, "a", PENDING, after_s=5, number=number)
    settle(box, "a", FAILED, number=4)
    replayed = done(box.store.replay("msg_a", box.clock()))
    assert (replayed.status, replayed.tries, replayed.attempts) == (PENDING, 0, 4)
    assert due(box) == ["msg_a"]
    assert len(done(box.store.get("msg_a")).attempts) == 4
    assert done(box.store.replay("msg_x", box.clock())) is None


def test_a_replay_does_not_overtake_an_earlier_message(box):
    box.start()
    add(box, message("a"), message("b"))
    done(box.store.replay("msg_b", box.clock()))
    assert due(box) == ["msg_a"]


def test_many_are_replayed_by_filter_and_pending_ones_left_alone(box):
    box.start()
    add(box, message("a"), message("b", job="job-2"), message("c", job="job-3"))
    settle(box, "a", FAILED)
    settle(box, "b", DELIVERED)
    settle(box, "c", PENDING, after_s=100)
    assert done(box.store.replay_all(DeliveryFilter(status=FAILED), box.clock())) == 1
    assert due(box) == ["msg_a"]
    assert done(box.store.replay_all(DeliveryFilter(job_id="job-3"), box.clock())) == 0


def test_only_the_newest_tries_are_kept(box):
    box.start()
    add(box, message("a"))
    for number in range(1, ATTEMPTS_KEPT + 4):
        settle(box, "a", PENDING, after_s=1, number=number)
    tries = done(box.store.get("msg_a")).attempts
    assert [tries[0].number, tries[-1].number, len(tries)] == [4, ATTEMPTS_KEPT + 3, ATTEMPTS_KEPT]


def test_what_is_over_is_forgotten_by_age_and_number_and_what_is_pending_never(box):
    box.start()
    add(box, *(message(str(n), job=f"j{n}") for n in range(6)))
    settle(box, "0", DELIVERED)
    settle(box, "1", FAILED)
    box.clock.now_s += HOUR_S
    settle(box, "2", DELIVERED)
    settle(box, "3", FAILED)
    box.clock.now_s += HOUR_S
    kept = KeptDeliveries(delivered_s=1.5 * HOUR_S, failed_s=0, count=0)
    assert done(box.store.prune(kept, box.clock())) == 1
    assert done(box.store.get("msg_0")) is None
    assert done(box.store.prune(replace(kept, delivered_s=0, count=1), box.clock())) == 2
    assert [each.message.id for each in done(box.store.page(DeliveryQuery())).deliveries] == ["msg_5", "msg_4", "msg_3"]


def test_a_verb_that_fails_changes_nothing_and_the_next_one_works(box):
    box.start()
    broken = replace(message("b"), body=None)
    with pytest.raises(Internal):  # what breaks a rule of the table is a fault of ours
        add(box, message("a"), broken, cursor=9)
    assert (due(box), done(box.store.cursor())) == ([], 0)
    assert add(box, message("a")) == 1


# -- on a file -----------------------------------------------------------------------------------------------------------


def test_everything_outlives_a_restart(filed):
    filed.start()
    add(filed, message("a"), message("b"), message("c", job="j2"), cursor=12)
    settle(filed, "a", PENDING, after_s=60)
    settle(filed, "c", FAILED, code=410, gone=True)
    filed.start()
    assert done(filed.store.cursor()) == 12
    filed.clock.now_s += 60
    assert due(filed) == ["msg_a"]
    assert add(filed, message("d", job="j2")) == 0


def test_after_the_clock_was_set_back_nothing_waits_for_longer_than_the_longest_wait(filed):
    filed.start()
    add(filed, message("a"))
    settle(filed, "a", PENDING, after_s=60)
    filed.clock.now_s -= 365 * 24 * HOUR_S
    filed.start()
    assert done(filed.store.get("msg_a")).delivery.next_try_at_s == filed.clock() + 12 * HOUR_S


def test_a_damaged_file_is_set_aside_and_begun_anew(filed):
    filed.start()
    add(filed, *(message(str(n), job=f"j{n}") for n in range(500)), cursor=500)
    filed.store.close()
    data = bytearray(filed.path.read_bytes())
    data[4_096:20_480] = b"\xff" * 16_384
    filed.path.write_bytes(bytes(data))
    filed.start()
    assert filed.damaged
    assert "set aside" in filed.store.state().notice
    assert done(filed.store.cursor()) == 0
    assert [path.name for path in filed.path.parent.glob("*.corrupt-*")] != []
    assert add(filed, message("a")) == 1


def test_another_programs_file_is_left_alone(filed):
    with closing(sqlite3.connect(filed.path)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.commit()
    before = filed.path.read_bytes()
    with pytest.raises(StoreUnavailable, match="another program"):
        filed.start()
    assert filed.path.read_bytes() == before


def test_why_it_cannot_be_opened_is_told_until_it_can(filed):
    filed.path.mkdir()
    store = SqliteDeliveries(filed.path, filed.clock, longest_delay_s=HOUR_S)
    assert store.state().error is None
    with pytest.raises(StoreUnavailable) as refused:
        store.open()
    assert (store.state().open, store.state().error) == (False, refused.value.message)
    filed.path.rmdir()
    store.open()
    assert (store.state().open, store.state().error) == (True, None)
    store.close()


def test_a_file_that_is_gone_is_noticed_at_the_next_write(filed):
    filed.start()
    filed.path.rename(filed.path.with_name("elsewhere"))
    with pytest.raises(StoreUnavailable, match="gone"):
        add(filed, message("a"))


def test_a_full_disk_is_told_and_later_writes_work(filed):
    filed.start()
    connection = filed.store._side._session.connection  # the limit stands for the disk's end
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    done(filed.store._side.ask(lambda: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()[0]))
    with pytest.raises(StoreUnavailable, match="full"):
        add(filed, *(replace(message(str(n), job=f"j{n}"), body="x" * 50_000) for n in range(20)), cursor=3)
    assert due(filed) == []
    assert "full" in filed.store.state().error
    done(filed.store._side.ask(lambda: connection.execute("PRAGMA max_page_count = 1000000").fetchone()[0]))
    assert add(filed, message("a"), cursor=4) == 1
    assert filed.store.state().error is None, "a write has worked"
    assert (due(filed), done(filed.store.cursor())) == (["msg_a"], 4)
