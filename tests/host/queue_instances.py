"""Cases of two swapped queues over one store, as on two instances; run by `test_queue_inprocess.py`, as `queue_cases.py` is."""

from __future__ import annotations

from tests.host.queue_bench import STATUS, SUCCESS, Bench  # first: it makes ComfyUI importable

# isort: split
import pytest

from expeditor.host.observer import observe
from expeditor.jobs.instances import boot_id_of
from expeditor.jobs.model import JobStatus
from tests.conformance.harness import MemoryStorage, done
from tests.support.fake_cluster import FakeCluster
from tests.support.waiting import wait_until
from tests.unit.dispatch.made import FakeParking

CLIENT = {"client_id": "ada"}
ADA = "ada"
IMAGE = {"images": [{"filename": "x.png", "subfolder": "cats", "type": "output"}]}
HOME_IMAGE = {"images": [{"filename": "x.png", "subfolder": "west/cats", "type": "output"}]}


class Storage(MemoryStorage):
    """One instance's way to the ledger that both share."""

    def __init__(self, name, ledger, clock):
        super().__init__()
        self.name, self.ledger, self.clock = name, ledger, clock

    def make(self, boot_id):
        return super().make(boot_id_of(self.name, boot_id))


class Pair:
    """Jobs are put into `east` and run by `west`, each hearing what the other commits."""

    def __init__(self):
        first = MemoryStorage()
        self.relays = FakeCluster(first.clock)
        self.east, self.west = (
            Bench(Storage(name, first.ledger, first.clock), name=name, relay=self.relays.relay(name))
            for name in ("east", "west")
        )
        for bench in (self.east, self.west):
            noted = bench.server.all = []
            bench.server.send_sync = lambda event, data, sid=None, noted=noted: noted.append((event, data, sid))
            observe(bench.server, bench.runs, bench.endings, abroad=bench.outbound)
            bench.storage.ears.on_publish = self.hear

    def hear(self, events):
        for bench in (self.east, self.west):
            bench.hear(events)

    def stop(self):
        for bench in (self.east, self.west):
            bench.storage.stop()


@pytest.fixture
def pair():
    made = Pair()
    yield made
    made.stop()


def start(bench):
    item, counter = bench.queue.get(timeout=0.01)
    assert bench.queue.get_tasks_remaining() == 1
    say(bench, item, "execution_start")
    return item, counter


def say(bench, item, event, **fields):
    bench.server.send_sync(event, {**fields, "prompt_id": item[1]}, item[3]["client_id"])


def end(bench, item, counter, status=SUCCESS, outputs=None):
    for event, fields in status.messages[1:]:
        say(bench, item, event, **fields)
    bench.queue.task_done(counter, {"outputs": outputs or {}, "meta": {}}, status=status)
    say(bench, item, "executing", node=None)
    bench.wiring.told.between_runs()


def heard(bench, sid=ADA):
    return [event for event, _, to in bench.server.all if to == sid]


def shown(bench):
    running, waiting = bench.queue.get_current_queue()
    return [item[1] for item in running], [item[1] for item in waiting]


def test_a_job_that_another_instance_runs_is_shown_running_told_and_ended_as_if_it_ran_here(pair):
    east, west = pair.east, pair.west
    east.put("a", extra=CLIENT)
    assert (shown(east), shown(west)) == (([], ["a"]), ([], []))
    item, counter = start(west)
    assert (shown(east), shown(west)) == ((["a"], []), (["a"], []))
    assert east.queue.get_tasks_remaining() == 1
    say(west, item, "executing", node="1", display_node="1")
    say(west, item, "executed", node="1", display_node="1", output=IMAGE)
    kept = {"outputs": {"1": HOME_IMAGE}, "meta": {}}
    end(west, item, counter, outputs=kept["outputs"])
    wait_until(lambda: heard(east)[-1:] == ["executing"] and len(heard(east)) == 5)
    assert heard(east) == ["execution_start", "executing", "executed", "execution_success", "executing"]
    executed = next(data for event, data, _ in east.server.all if event == "executed")
    assert executed == {"node": "1", "display_node": "1", "output": HOME_IMAGE, "prompt_id": "a"}
    assert east.queue.get_history("a")["a"]["outputs"] == {"1": HOME_IMAGE}
    assert (shown(east), shown(west), west.queue.get_history()) == (([], []), ([], []), {})
    assert heard(west) == [], "a client of the same id on another instance is somebody else, or has heard it at home"
    assert (east.wiring.elsewhere, west.wiring.guests) == ({}, set())


def test_a_result_whose_word_was_lost_is_told_before_the_end(pair):
    pair.relays.away = True
    pair.east.put("a", extra=CLIENT)
    item, counter = start(pair.west)
    say(pair.west, item, "executed", node="1", display_node="1", output=IMAGE)
    end(pair.west, item, counter, outputs={"1": HOME_IMAGE})
    wait_until(lambda: pair.east.later)
    assert heard(pair.east) == [], "its run may still be saying something"
    pair.east.later.pop()()
    wait_until(lambda: len(heard(pair.east)) == 3)
    assert heard(pair.east) == ["executed", "execution_success", "executing"]


def test_what_comes_before_the_start_is_heard_is_told_after_it(pair):
    pair.east.put("a", extra=CLIENT)
    late = []
    pair.west.storage.ears.on_publish = lambda events: (pair.west.hear(events), late.append(events))
    item, counter = start(pair.west)
    assert heard(pair.east) == []
    pair.east.hear(late.pop(0))
    assert heard(pair.east) == ["execution_start"]
    end(pair.west, item, counter)
    pair.east.hear(late.pop(0))
    wait_until(lambda: len(heard(pair.east)) == 3)


@pytest.mark.parametrize("client", [CLIENT, {}])
def test_an_error_and_what_a_job_without_a_client_says(pair, client):
    status = STATUS("error", False, [("execution_start", {}), ("execution_error", {"exception_type": "ValueError"})])
    pair.east.put("a", extra=client)
    item, counter = start(pair.west)
    say(pair.west, item, "progress_state", nodes={})
    end(pair.west, item, counter, status)
    wait_until(lambda: pair.east.queue.get_history("a"))
    if client:
        wait_until(lambda: len(heard(pair.east)) == 4)
        assert heard(pair.east) == ["execution_start", "progress_state", "execution_error", "executing"]
    else:
        assert [event for event, *_ in pair.east.server.all] == ["progress_state"], "as stock has it"
    assert pair.east.queue.get_history("a")["a"]["status"]["status_str"] == "error"
    assert [event for event, *_ in pair.west.server.all] == []


def test_a_job_that_is_put_back_waits_at_home_and_nowhere_else(pair):
    status = STATUS(
        "error", False, [("execution_start", {}), ("execution_error", {"exception_type": "ConnectionError"})]
    )
    pair.east.put("a", extra=CLIENT)
    end(pair.west, *start(pair.west), status)
    wait_until(lambda: shown(pair.east) == ([], ["a"]))
    assert (shown(pair.west), pair.west.wiring.guests, heard(pair.east)) == (([], []), set(), ["execution_start"])
    pair.east.storage.clock.now_s += 1000.0
    done(pair.east.store.tick())
    item, counter = start(pair.east)
    assert item[3]["client_id"] == ADA
    end(pair.east, item, counter)
    wait_until(lambda: pair.east.queue.get_history("a"))
    assert heard(pair.east)[1:] == ["execution_start", "execution_success", "executing"]


def test_stock_interrupt_of_newer_versions_reaches_the_other_instance(pair):
    pair.east.put("a", extra=CLIENT)
    item, counter = start(pair.west)
    assert pair.west.queue.interrupt_if_running("b") is False
    assert pair.east.queue.interrupt_if_running("a") is True
    wait_until(lambda: pair.east.status("a") is JobStatus.CANCELING)
    end(pair.west, item, counter, STATUS("error", False, [("execution_start", {}), ("execution_interrupted", {})]))
    wait_until(lambda: len(heard(pair.east)) == 3)
    assert heard(pair.east) == ["execution_start", "execution_interrupted", "executing"]
    assert pair.east.status("a") is JobStatus.CANCELED


def test_clearing_and_deleting_touch_only_what_is_shown_here(pair):
    for bench, job_id in ((pair.east, "a"), (pair.west, "b"), (pair.east, "c")):
        bench.put(job_id)
    pair.west.queue.wipe_queue()
    assert pair.east.queue.delete_queue_item(lambda item: item[1] == "b") is False
    wait_until(lambda: pair.west.status("b") is JobStatus.CANCELED)
    assert (shown(pair.east), shown(pair.west)) == (([], ["a", "c"]), ([], []))
    assert [pair.west.run_next(), pair.west.run_next()] == ["a", "c"]
    for job_id in ("a", "c"):
        wait_until(lambda job_id=job_id: pair.east.queue.get_history(job_id))
    pair.west.queue.delete_history_item("a")
    pair.west.queue.wipe_history()
    assert {each.job.id for each in done(pair.west.store.finished(9))} == {"a", "c"}
    pair.east.queue.delete_history_item("a")
    assert {each.job.id for each in done(pair.east.store.finished(9))} == {"c"}
    pair.east.queue.wipe_history()
    assert done(pair.east.store.finished(9)) == ()


def test_a_run_whose_lease_was_lost_ends_quietly_and_the_job_runs_on_elsewhere(pair):
    pair.east.put("a", extra=CLIENT)
    item, counter = start(pair.east)
    later_life = Storage("east", pair.east.storage.ledger, pair.east.storage.clock)
    later_life.ears.on_publish = pair.hear
    later_life.boots = 1
    done(later_life.start().recover())  # as a lost lease: the attempt is closed and the job waits again
    later_life.stop()
    assert "a" in pair.east.wiring.to_list
    again, its_counter = start(pair.west)
    assert shown(pair.east) == (["a"], [])
    end(pair.east, item, counter)
    assert shown(pair.east) == (["a"], []), "it runs on the other instance"
    assert pair.east.queue.get_history() == {}
    assert heard(pair.east) == ["execution_start", "execution_start"]
    end(pair.west, again, its_counter)
    wait_until(lambda: pair.east.queue.get_history("a"))
    wait_until(lambda: len(heard(pair.east)) == 4)
    assert heard(pair.east)[2:] == ["execution_success", "executing"]
    assert pair.east.queue.get_history("a")["a"]["status"]["completed"] is True


def test_an_idle_worker_takes_the_job_of_another_instance_when_it_is_woken(pair):
    assert pair.west.queue.get(timeout=0.01) is None
    pair.east.put("a")
    pair.west.queue.wake()
    assert pair.west.run_next() == "a"


# --- parked ---------------------------------------------------------------------------------------------------------

INTERRUPTED = STATUS("error", False, [("execution_start", {}), ("execution_interrupted", {})])


def parked(pair, at):
    """A job of east's that has run at this instance and is parked."""
    for bench in (pair.east, pair.west):
        bench.parking = FakeParking()
        bench.dispatcher.join_parking(bench.parking)
    pair.east.put("a", extra=CLIENT)
    end(at, *start(at), INTERRUPTED)
    wait_until(lambda: pair.east.status("a") is JobStatus.WAITING)
    for bench in (pair.east, pair.west):
        bench.parking.parks = False


@pytest.mark.parametrize("at", ["east", "west"])
@pytest.mark.parametrize("then", ["east", "west"])
def test_a_parked_job_waits_at_home_and_goes_on_wherever_it_is_claimed(pair, at, then):
    parked(pair, getattr(pair, at))
    wait_until(lambda: shown(pair.east) == ([], ["a"]))
    assert (shown(pair.west), pair.west.wiring.guests, pair.west.wiring.on_machine) == (([], []), set(), set())
    assert (pair.east.wiring.parked, pair.west.wiring.parked) == ({"a"}, set())
    assert "execution_interrupted" not in heard(pair.east)
    done(pair.west.store.answer("a", "t1", "on"))
    runner = getattr(pair, then)
    item, counter = start(runner)
    assert (shown(pair.east), pair.east.wiring.parked) == ((["a"], []), set())
    assert (item[3]["client_id"] == ADA) is (then == "east")
    end(runner, item, counter)
    wait_until(lambda: pair.east.queue.get_history("a") and heard(pair.east)[-1:] == ["executing"])
    assert heard(pair.east) == ["execution_start", "execution_start", "execution_success", "executing"]
    assert (shown(pair.east), shown(pair.west), pair.west.queue.get_history()) == (([], []), ([], []), {})
    assert (pair.east.wiring.elsewhere, pair.east.wiring.on_machine) == ({}, set())


@pytest.mark.parametrize("at", ["east", "west"])
@pytest.mark.parametrize("way", ["delete", "interrupt", "cancel"])
def test_a_parked_job_is_cancelled_from_home(pair, at, way):
    parked(pair, getattr(pair, at))
    wait_until(lambda: shown(pair.east) == ([], ["a"]))
    if way == "delete":
        assert pair.east.queue.delete_queue_item(lambda item: item[1] == "a")
    elif way == "interrupt":
        assert pair.east.queue.interrupt_if_running("a")
    else:
        done(pair.west.store.cancel("a"))
    wait_until(lambda: heard(pair.east)[-1:] == ["executing"])
    assert heard(pair.east) == ["execution_start", "execution_interrupted", "executing"]
    assert pair.east.status("a") is JobStatus.CANCELED
    assert (shown(pair.east), pair.east.wiring.parked, bool(pair.east.queue.get_history("a"))) == (
        ([], []),
        set(),
        way != "delete",
    )


def test_a_job_that_others_take_before_its_own_run_is_put_away_is_listed_once(pair):
    for bench in (pair.east, pair.west):
        bench.parking = FakeParking()
        bench.dispatcher.join_parking(bench.parking)
    pair.east.put("a", extra=CLIENT)
    item, counter = start(pair.east)
    taken = []

    def quick(events):
        pair.hear(events)
        if events[-1].type == "job.waiting" and not taken:
            taken.append(True)
            done(pair.west.store.answer("a", "t1", "on"))
            claim = done(pair.west.store.claim())
            assert claim.job.id == "a"

    pair.east.storage.ears.on_publish = quick
    end(pair.east, item, counter, INTERRUPTED)
    assert taken
    assert shown(pair.east) == (["a"], [])
