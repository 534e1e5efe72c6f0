"""`kill -9` at any moment of a process that hosts store and dispatcher (fake executor): nothing that was promised is lost,
nothing happens twice, all is accounted for.

The processes submit, commit, run, retry, expire, cancel, hold and prune at once, so kills at random moments meet each of
these. What SIGKILL cannot show is a loss of power: for that the store syncs every commit (`store/sqlite/connection.sql`).
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from expeditor.jobs.model import Cause, Job, JobStatus
from expeditor.jobs.transitions import TERMINAL
from expeditor.store.base import MAX_DEATHS
from expeditor.store.records import JobQuery
from tests.chaos.dying import die_at_work, die_early
from tests.conformance.harness import SqliteStorage, done

CHILD = Path(__file__).with_name("scheduler_child.py")
KILLS = 50
EARLY_S = 0.5  # every fifth process is killed within this time: while it starts, opens the file or recovers
LINES = 300  # the others are killed after at most so many promises, however long these take
DRAIN_S = 120.0
ENDS = frozenset(f"job.{status.value}" for status in TERMINAL)
Words = tuple[str, ...]


@dataclass
class Story:
    """What all processes said, by the first word; and what is left of it in the end."""

    said: dict[str, list[Words]] = field(default_factory=lambda: defaultdict(list))
    killed_while: Counter[str] = field(default_factory=Counter)
    waited: list[Job] = field(default_factory=lambda: [])  # in the order of claim, after the last kill
    jobs: dict[str, Job] = field(default_factory=lambda: {})  # after the drain
    tombstones: set[str] = field(default_factory=set)
    keys: dict[str, str | None] = field(
        default_factory=lambda: {}
    )  # job id that asked -> job id that its key stands for

    def hear(self, line: str) -> None:
        kind, *words = line.split()
        self.said[kind].append(tuple(words))

    def unanswered(self) -> list[Words]:
        """Requests whose client never heard anything."""
        answered = {words[0] for kind in ("queued", "found") for words in self.said[kind]}
        return list(dict.fromkeys(words for words in self.said["asking"] if words[0] not in answered))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Fifty processes, each killed; then one that works off all that is left."""
    folder, told, rng = tmp_path_factory.mktemp("queue"), Story(), random.Random(50)
    for boot in range(KILLS):
        with _child(folder, f"b{boot}", "work", told) as child:
            lines = die_early(child, rng, EARLY_S) if boot % 5 == 4 else die_at_work(child, rng, LINES)
        told.killed_while.update(_under_way(lines))
        for line in lines:
            told.hear(line)
    told.waited = _waiting(folder)
    with _child(folder, f"b{KILLS}", "drain", told) as child:
        said, complaint = child.communicate(timeout=DRAIN_S)
    assert child.returncode == 0, complaint
    for line in said.splitlines():
        told.hear(line)
    _look(folder, told)
    return told


def _child(folder: Path, boot_id: str, what: str, told: Story) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHILD), str(folder), boot_id, what]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdin is not None
    child.stdin.write("".join(" ".join(words) + "\n" for words in told.unanswered()))
    child.stdin.close()
    child.stdin = None
    return child


def _under_way(lines: list[str]) -> set[str]:
    """What a process had begun and not ended when it was killed."""
    said: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        kind, _, rest = line.partition(" ")
        said[kind].append(rest)
    under_way = {"starting"} if "ready" not in said else set[str]()
    if {rest.split()[0] for rest in said["asking"]} - {rest.split()[0] for rest in said["queued"]}:
        under_way.add("submitting")
    if said["claimed"] and said["claimed"][-1] not in said["ran"]:
        under_way.add("running")
    if said["ran"] and not any(rest.startswith(f"{said['ran'][-1]} ") for rest in said["settled"]):
        under_way.add("finishing")
    if len(said["pruning"]) > len(said["pruned"]):
        under_way.add("pruning")
    return under_way


def _waiting(folder: Path) -> list[Job]:
    storage = SqliteStorage(folder)
    recovered = done(storage.start().recover())
    storage.stop()
    return [job for job, _ in recovered.waiting]


def _look(folder: Path, told: Story) -> None:
    storage = SqliteStorage(folder)
    store = storage.start()
    cursor = None
    while not told.jobs or cursor is not None:
        page = done(store.page(JobQuery(cursor=cursor, limit=1000)))
        told.jobs.update({job.id: job for job in page.jobs})
        cursor = page.next_cursor
    asked = dict.fromkeys((words[0], words[2]) for words in told.said["asking"])
    for job_id, principal in asked:
        if done(store.was_pruned(job_id)):
            told.tombstones.add(job_id)
        keyed = done(store.keyed(principal, f"key-{job_id}"))
        told.keys[job_id] = None if keyed is None else keyed.job_id
    storage.stop()


def test_the_processes_got_to_work_and_died_at_work(story):
    assert len(story.said["queued"]) > 10 * KILLS
    causes = Counter(attempt.cause for job in story.jobs.values() for attempt in job.attempts)
    assert min(causes[cause] for cause in (Cause.PROCESS_DIED, Cause.OUT_OF_MEMORY, Cause.UPSTREAM_UNAVAILABLE)) > 0
    ends = Counter(job.status for job in story.jobs.values())
    assert set(ends) == TERMINAL
    assert story.said["found"], "no client was left without its answer"
    assert len(story.tombstones) > KILLS


def test_each_phase_had_its_kills(story):
    met = dict(story.killed_while)
    assert met.keys() == {"starting", "submitting", "running", "finishing", "pruning"}, met
    # Of those killed while they submitted: some before the commit, whose request is made anew, some between commit and answer.
    asked = Counter(words[0] for words in story.said["asking"])
    assert max(asked.values()) > 1
    assert story.said["found"]


def test_no_accepted_job_is_lost(story):
    known = story.jobs.keys() | story.tombstones
    assert not [words[0] for words in story.said["queued"] if words[0] not in known]
    assert not [words[1] for words in story.said["told"] if words[1] not in known]


def test_every_job_ends(story):
    assert {job.status for job in story.jobs.values()} <= TERMINAL


def test_a_repeated_request_finds_its_job(story):
    asked = [words[0] for words in story.said["asking"]]
    assert not [job_id for job_id in asked if job_id in story.jobs and story.keys[job_id] != job_id]
    assert not [words for words in story.said["found"] if words[0] not in asked]
    assert not [job_id for job_id, times in Counter(words[0] for words in story.said["queued"]).items() if times > 1]


def test_no_attempt_is_handed_out_twice_and_all_are_accounted_for(story):
    for kind in ("claimed", "ran", "settled"):
        said = Counter(words[:2] for words in story.said[kind])
        assert not [words for words, times in said.items() if times > 1 and kind != "ran"], kind
        for job_id, attempt in said:
            assert job_id in story.tombstones or len(story.jobs[job_id].attempts) >= int(attempt), (kind, job_id)


def test_attempts_are_closed_and_numbered_and_one_finishes(story):
    for job in story.jobs.values():
        assert [attempt.number for attempt in job.attempts] == list(range(1, len(job.attempts) + 1))
        assert all(attempt.outcome is not None and attempt.finished_at_s is not None for attempt in job.attempts)
        assert [a.number for a in job.attempts if a.outcome is JobStatus.SUCCEEDED] == (
            [job.attempt] if job.status is JobStatus.SUCCEEDED else []
        )


def test_the_end_is_the_one_that_the_jobs_fate_asks_for(story):
    for job in story.jobs.values():
        fate = job.metadata["fate"]
        if job.cause is Cause.POISON:
            assert (job.status, job.deaths) == (JobStatus.FAILED, MAX_DEATHS)
        elif fate == "dropped":
            # Killed between its commit and its client's cancel, it runs.
            assert job.status in {JobStatus.CANCELED, JobStatus.SUCCEEDED}
        elif fate == "brief":
            assert job.status in {JobStatus.EXPIRED, JobStatus.SUCCEEDED}
        elif fate == "bad":
            assert (job.status, job.cause, job.tries) == (JobStatus.FAILED, Cause.NODE_ERROR, 1)
        elif fate in {"flaky", "oom"}:
            assert (job.status, job.tries) == (JobStatus.SUCCEEDED, 2)
        else:
            assert (job.status, job.tries) == (JobStatus.SUCCEEDED, 1)
        assert job.deaths <= MAX_DEATHS


def test_an_end_is_told_once_at_most_and_is_true(story):
    ends = [words for words in story.said["told"] if words[0] in ENDS]
    assert len({job_id for _, job_id in ends}) == len(ends)
    for kind, job_id in ends:
        assert job_id in story.tombstones or kind == f"job.{story.jobs[job_id].status.value}"


def test_what_was_reported_settled_is_settled(story):
    for job_id, _, what in story.said["settled"]:
        assert what in {"ended", "again"}
        assert what == "again" or job_id in story.tombstones or story.jobs[job_id].status in TERMINAL


def test_places_in_the_queue_are_kept(story):
    promised = {words[0]: (int(words[1]), float(words[2])) for words in story.said["queued"]}
    known = [job for job in story.jobs.values() if job.id in promised]
    assert all(promised[job.id][0] == job.seq for job in known)
    assert all(promised[job.id][1] == job.score for job in known if not job.suspect)
    order = [(job.score, job.number, job.seq) for job in story.waited if not job.held]
    assert order == sorted(order)


def test_only_what_had_ended_is_pruned(story):
    pruned = {job_id for words in story.said["pruning"] for job_id in words}
    assert story.tombstones <= pruned
    ended = {job_id for kind, job_id in story.said["told"] if kind in ENDS}
    untold = story.tombstones - ended
    # Its end was committed, and the process killed before it was told.
    assert len(untold) <= KILLS
