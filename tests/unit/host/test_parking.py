"""When a run is parked, what is kept of it, and that a hundred of them leave nothing behind. Runs are coroutines as ComfyUI's are."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from expeditor.events.mailbox import Mailbox
from expeditor.events.open_wait import Wait
from expeditor.host.kept_caches import changed_of, kept_of, off_device, put_back, say_changed, size_bytes
from expeditor.host.parking import Parking, ParkingRules
from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Attempt, Job, JobStatus, Principal, Source
from expeditor.jobs.waits import Ask, JobWait, Parked

LOOK_S = 0.001


class FakeTensor:
    """What of a tensor counts here."""

    def __init__(self, size_bytes: int = 1000, device: str = "cpu") -> None:
        self.size_bytes = size_bytes
        self.device = SimpleNamespace(type=device)

    def untyped_storage(self) -> Any:
        return SimpleNamespace(data_ptr=lambda: id(self), nbytes=lambda: self.size_bytes)

    def to(self, device: Any) -> FakeTensor:
        return FakeTensor(self.size_bytes, device if isinstance(device, str) else device.type)


class FakeCache:
    """The form of ComfyUI's default cache: entries by signature, caches below by node; `clean` is what another prompt does."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self.cache: dict[Any, Any] = {}
        self.subcaches: dict[Any, FakeCache] = {}
        self.use(keys)

    def use(self, keys: Iterable[str]) -> None:
        wanted = frozenset(keys)
        self.cache_key_set = SimpleNamespace(get_used_keys=lambda: wanted)

    def clean(self) -> None:
        self.use(())
        self.cache.clear()
        self.subcaches.clear()


class FakeRuns:
    """How many nodes have begun at each look, as the test says; None: nobody knows."""

    def __init__(self) -> None:
        self.begun: Iterator[int | None] = itertools.repeat(1)

    def nodes_begun(self, _job_id: str) -> int | None:
        return next(self.begun)


class AnsweredFirst:
    """Questions of a mailbox that are answered at the very moment when they are to be parked."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.begin, self.end, self._mailbox = mailbox.begin, mailbox.end, mailbox

    def park(self, prompt_id: str) -> tuple[JobWait, ...]:
        self._mailbox.deliver("quick", "7", prompt_id=prompt_id)
        return self._mailbox.park(prompt_id)


class Machine:
    """A parking with a real mailbox, an executor's cache and runs that the test plays."""

    def __init__(self, questions: Callable[[Mailbox], Any] = lambda mailbox: mailbox, **rules: Any) -> None:
        numbers = itertools.count(1)
        self.mailbox = Mailbox(lambda: 1000.0, lambda: f"t{next(numbers)}")
        self.runs, self.interrupted = FakeRuns(), False
        self.executor = SimpleNamespace(caches=SimpleNamespace(outputs=FakeCache()))
        self.parking = Parking(questions(self.mailbox), ParkingRules(**{"after_s": 0.0, **rules}), self.tick, "here")
        self.parking.join(self.runs, lambda: self.interrupted)
        self.now_s = 0.0

    @property
    def outputs(self) -> Any:
        return self.executor.caches.outputs

    def tick(self) -> float:
        self.now_s += 1.0
        return self.now_s

    def run(self, job: Job, prompt: dict[str, Any], node: Callable[[], Any], beside: Any = None) -> tuple[JobWait, ...]:
        """One execution: a node makes something, and one behind it asks until it is answered, parked, or has looked often enough."""
        self.parking.began(job)
        self.parking.before(self.executor, job.id, prompt)
        self.outputs.use({"made"})
        if "made" not in self.outputs.cache:
            self.outputs.cache["made"] = node()
        self.stopped_by_parking = asyncio.run(self._ask(job.id, beside))
        self.parking.after(self.executor, job.id)
        return self.parking.stopped(job.id, frozenset({"1"}), parkable=self.stopped_by_parking)

    async def _ask(self, job_id: str, beside: Any) -> bool:
        async def asking() -> bool:
            self.wait: Wait = self.mailbox.open(job_id, "7", ask=Ask(), deadline_s=60.0)
            try:
                for _ in range(20):
                    if self.wait.answered:
                        return False
                    if self.parking.parks(job_id, "7"):
                        return True
                    await _a_moment()
                return False
            finally:
                self.mailbox.close(self.wait.token)

        async def gathers(task: asyncio.Task[bool]) -> None:  # as ComfyUI's executor has one per node that waits
            await asyncio.gather(task, return_exceptions=True)

        others = [] if beside is None else [asyncio.create_task(beside())]
        task = asyncio.create_task(asking())
        await asyncio.create_task(gathers(task))
        for other in others:
            other.cancel()
        return task.result()


def job(job_id: str, **fields: Any) -> Job:
    return Job(job_id, Principal("ada"), 3, Source.SUBMIT, JobStatus.RUNNING, 1.0, 1.0, 0.0, 1, 0.0, 0.0, 5.0, **fields)


def made() -> tuple[Any, ...]:
    return ({"ui": None}, [[FakeTensor()]])


PROMPT = {"1": {"class_type": "Makes", "is_changed": [float("nan")]}, "7": {"class_type": "Asks"}}


def test_a_quiet_run_is_parked_with_its_questions_and_what_it_made():
    machine = Machine()
    (wait,) = machine.run(job("a"), PROMPT, made)
    assert (wait.node_id, wait.answer, machine.stopped_by_parking) == ("7", None, True)
    assert machine.parking.facts() == {"state": "on", "kept_prompts": 1, "kept_bytes": 1000}
    assert [pending.token for pending in machine.mailbox.pending()] == [wait.token]


def test_what_was_made_and_said_is_there_again_when_it_goes_on():
    machine = Machine()
    waits = machine.run(job("a"), PROMPT, made)
    entry = machine.outputs.cache["made"]
    machine.outputs.clean()
    machine.mailbox.parked_for_good("a")
    machine.mailbox.answered(waits[0].token, "yes")
    answered = tuple(JobWait(*_values(wait)[:6], answer="yes") for wait in waits)
    again: dict[str, Any] = {"1": {"class_type": "Makes"}, "7": {"class_type": "Asks"}}
    assert machine.run(job("a", parked=Parked(answered)), again, lambda: pytest.fail("it ran twice")) == ()
    assert machine.outputs.cache["made"] is entry
    assert again["1"]["is_changed"] is PROMPT["1"]["is_changed"], "what equals nothing must be the very same"
    assert (machine.wait.poll(0), machine.wait.token) == ("yes", waits[0].token)
    assert machine.parking.facts()["kept_prompts"] == 0


async def _a_moment() -> None:
    """As a node's sleep between two looks, which makes no task."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    loop.call_later(LOOK_S, over.set_result, None)
    await over


async def _busy() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    "why", ["another coroutine", "nobody knows", "too large", "no form", "off", "not yet", "interrupted"]
)
def test_it_waits_in_place(why: str):
    rules = {"too large": {"cache_bytes": 999}, "off": {"not_here": ""}, "not yet": {"after_s": 1e9}}.get(why, {})
    machine = Machine(**rules)
    if why == "nobody knows":
        machine.runs.begun = itertools.repeat(None)
    if why == "no form":
        del machine.outputs.subcaches
    machine.interrupted = why == "interrupted"
    assert machine.run(job("a"), PROMPT, made, _busy if why == "another coroutine" else None) == ()
    assert machine.stopped_by_parking is (why == "interrupted")
    assert (machine.mailbox.pending(), machine.parking.facts()["kept_prompts"]) == ((), 0)


def test_a_node_that_begins_meanwhile_counts_as_work():
    machine = Machine(after_s=3.0)
    machine.runs.begun = itertools.count(1)
    assert machine.run(job("a"), PROMPT, made) == ()


def test_an_answer_at_the_last_moment_wins():
    machine = Machine(AnsweredFirst)
    assert machine.run(job("a"), PROMPT, made) == ()
    assert (machine.stopped_by_parking, machine.wait.poll(0)) == (False, "quick")


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_hundred_parks_leave_nothing_behind(goes_on: bool):
    machine, tensors = Machine(), list[weakref.ref[FakeTensor]]()

    def makes() -> Any:
        tensor = FakeTensor()
        tensors.append(weakref.ref(tensor))
        return ({}, [[tensor]])

    for number in range(100):
        one = job(f"job-{number}")
        waits = machine.run(one, PROMPT, makes)
        assert waits, number
        machine.outputs.clean()
        machine.mailbox.parked_for_good(one.id)
        if goes_on:
            machine.mailbox.answered(waits[0].token, "on")
            answered = tuple(JobWait(*_values(wait)[:6], answer="on") for wait in waits)
            assert machine.run(job(one.id, parked=Parked(answered)), PROMPT, lambda: pytest.fail("twice")) == ()
            machine.outputs.clean()
        else:
            ended = job(one.id, finished_at_s=2.0)
            ended = Job(**{**{name: getattr(ended, name) for name in ended.__slots__}, "status": JobStatus.CANCELED})
            machine.parking.publish((JobEvent.of(ended, 2.0),))
            machine.mailbox.end(one.id)
    gc.collect()
    assert len(tensors) == 100
    assert [ref for ref in tensors if ref() is not None] == []
    assert machine.parking.facts() == {"state": "on", "kept_prompts": 0, "kept_bytes": 0}
    assert machine.mailbox.pending() == ()
    assert machine.parking._runs == {}
    assert machine.mailbox._runs._runs == {}


@pytest.mark.parametrize(("at", "left"), [("here", ("a",)), ("there", ())])
def test_what_is_kept_is_let_go_when_another_instance_goes_on(at: str, left: tuple[str, ...]):
    machine = Machine()
    assert machine.run(job("a"), PROMPT, made)
    gone_on = job("a", attempts=(Attempt(1, 1.0, f"{at}/1"),))
    machine.parking.publish((JobEvent.of(gone_on, 2.0),))
    assert machine.parking.kept() == left


def test_a_run_whose_job_is_another_s_keeps_nothing_and_asks_nothing():
    machine = Machine()
    assert machine.run(job("a"), PROMPT, made)
    machine.parking.refused("a")
    assert (machine.parking.kept(), machine.mailbox.pending()) == ((), ())


def test_caches_below_are_kept_apart_from_what_another_prompt_does_with_them():
    outputs = FakeCache({"a"})
    below = outputs.subcaches["3"] = FakeCache({"inner"})
    below.cache["inner"] = ("ui", [["x"]])
    kept = kept_of(outputs)
    assert kept is not None
    below.clean()
    outputs.clean()
    put_back(kept, outputs)
    assert outputs.subcaches["3"].cache == {"inner": ("ui", [["x"]])}


def test_what_lies_on_a_device_is_kept_in_main_memory_and_brought_back():
    outputs = FakeCache({"a"})
    there, here = FakeTensor(device="cuda"), FakeTensor()
    outputs.cache["a"] = ({}, [[{"samples": there, "mask": here}]])
    kept = off_device(kept_of(outputs))  # type: ignore[arg-type] - it is one
    assert size_bytes(kept) == 2000
    assert outputs.cache["a"][1][0][0]["samples"] is there, "the executor's own stays as it was"
    put_back(kept, outputs)
    back = outputs.cache["a"][1][0][0]
    assert (back["samples"].device.type, back["mask"]) == ("cuda", here)


def test_a_tensor_is_counted_once_and_a_model_by_what_it_weighs():
    outputs, tensor = FakeCache({"a", "b", "c"}), FakeTensor()
    model = object()
    first, clone = (SimpleNamespace(model=model, model_size=lambda: 5000) for _ in range(2))
    outputs.cache = {"a": ({}, [[tensor]]), "b": ({}, [[tensor, first]]), "c": ({}, [[SimpleNamespace(patcher=clone)]])}
    kept = kept_of(outputs)
    assert kept is not None
    assert size_bytes(kept) == 6000


def test_what_nodes_said_is_noted_for_the_same_classes_only():
    said = changed_of({**PROMPT, "9": "no node"})
    prompt: dict[str, Any] = {"1": {"class_type": "Another"}}
    say_changed(prompt, said)
    assert prompt == {"1": {"class_type": "Another"}}


def _values(wait: JobWait) -> tuple[Any, ...]:
    return tuple(getattr(wait, name) for name in JobWait.__slots__)


def test_what_goes_on_is_not_counted_beside_itself_when_it_is_parked_again():
    machine = Machine(cache_bytes=1500)
    waits = machine.run(job("a"), PROMPT, made)
    assert waits
    machine.outputs.clean()
    assert machine.run(job("a", parked=Parked(waits)), PROMPT, lambda: pytest.fail("it ran twice")) == waits
    assert machine.parking.facts() == {"state": "on", "kept_prompts": 1, "kept_bytes": 1000}
