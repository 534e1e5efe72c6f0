"""What the tests of dispatch hand in: a monotonic clock set by hand, fakes that note what they hear, and a dispatcher's bench."""

from __future__ import annotations

from concurrent.futures import Future

from expeditor.dispatch.dispatcher import Dispatcher, RetryRules
from expeditor.dispatch.retrying import RetryPolicy
from expeditor.dispatch.runs import RunTable
from expeditor.jobs.causes import CauseTable
from expeditor.jobs.waits import Ask, JobWait
from tests.conformance.harness import done
from tests.support.clocks import HandMonotonic


class FakeInterrupter:
    """Notes every interruption that is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def interrupt(self, job_id: str) -> bool:
        self.asked.append(job_id)
        return True


class FakeObserver:
    """Notes what runs tell of themselves."""

    def __init__(self) -> None:
        self.nodes: list[tuple[str, float]] = []
        self.cache: list[tuple[int, int]] = []
        self.gaps: list[float] = []

    def node_ran(self, class_type: str, duration_s: float) -> None:
        self.nodes.append((class_type, duration_s))

    def nodes_cached(self, hits: int, misses: int) -> None:
        self.cache.append((hits, misses))

    def gap(self, duration_s: float) -> None:
        self.gaps.append(duration_s)


class FakeFiles:
    """One size for the files it was told of."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def size_bytes(self, folder: str, subfolder: str, name: str) -> int | None:
        return 123 if name in self._names else None


class FakeResident:
    """Has these models loaded."""

    def __init__(self, *models: str) -> None:
        self._models = frozenset(models)

    def models(self) -> frozenset[str]:
        return self._models


class FakeAbilities:
    """Has these node classes; others have the models of `elsewhere`."""

    def __init__(self, *classes: str, elsewhere: tuple[str, ...] = ()) -> None:
        self.classes, self.elsewhere, self.mark = set(classes), set(elsewhere), "1"

    def missing(self, node_classes: frozenset[str], models: frozenset[str]) -> frozenset[str]:
        return frozenset(node_classes - self.classes) | frozenset(models & self.elsewhere)


class FakeParking:
    """Parks every run with one question while it `parks`, and notes which were refused."""

    def __init__(self) -> None:
        self.parks = True
        self.gone: list[str] = []

    def began(self, _job) -> frozenset[str]:
        return frozenset()

    def stopped(self, _job_id: str, _ran, *, parkable: bool) -> tuple[JobWait, ...]:  # noqa: ARG002 - a port's form
        return (JobWait("t1", "7", Ask(), 1.0, 1e12, 64),) if self.parks else ()

    def refused(self, job_id: str) -> None:
        self.gone.append(job_id)


class FakeLateStore:
    """A store in front of the real one: `away` refuses verbs; `late` asks the real store, but answers only on `deliver`; `unheard` asks
    it, and answers the next verb with this: its own answer was lost on the way."""

    def __init__(self, real) -> None:
        self.real = real
        self.away: Exception | None = None
        self.unheard: Exception | None = None
        self.late = False
        self.asked: list[str] = []
        self.given: dict[str, tuple] = {}
        self._owed: list[tuple[Future, Future]] = []

    def __getattr__(self, verb):
        def ask(*args):
            self.asked.append(verb)
            self.given[verb] = args
            answer: Future = Future()
            if self.away is not None:
                answer.set_exception(self.away)
                return answer
            asked = getattr(self.real, verb)(*args)
            if self.unheard is not None:
                asked.exception(10)
                unheard, self.unheard = self.unheard, None
                answer.set_exception(unheard)
                return answer
            if not self.late:
                return asked
            self._owed.append((asked, answer))
            return answer

        return ask

    def deliver(self) -> None:
        self.late = False
        for asked, answer in self._owed:
            asked.exception(10)
            error = asked.exception()
            answer.set_exception(error) if error else answer.set_result(asked.result())
        self._owed.clear()


class Bench:
    """A dispatcher over a real store behind the fake front; half of the longest back-off is drawn."""

    def __init__(self, store, clock, *, policy=None) -> None:
        self.policy = policy or RetryPolicy()
        self.real = store
        self.clock = clock
        self.front = FakeLateStore(store)
        self.monotonic = HandMonotonic()
        self.observer = FakeObserver()
        self.interrupter = FakeInterrupter()
        self.runs = RunTable(interrupter=self.interrupter, observer=self.observer, monotonic=self.monotonic)
        self.draining = False
        self.abilities: FakeAbilities | None = None
        self.dispatcher = self.make(deadline_s=10.0)

    def make(self, deadline_s):
        return Dispatcher(
            store=self.front,
            runs=self.runs,
            files=FakeFiles("a.png"),
            observer=self.observer,
            retries=RetryRules(CauseTable(), self.policy, lambda: 0.5),
            resident=FakeResident("loaded.safetensors"),
            clock=self.clock,
            monotonic=self.monotonic,
            deadline_s=deadline_s,
            draining=lambda: self.draining,
            abilities=self.abilities,
            home_patience_s=0.02,
        )

    def impatient(self):
        """Another dispatcher, whose waits for the store run out at once."""
        self.dispatcher = self.make(deadline_s=0.0)
        return self.dispatcher

    def job(self, job_id):
        return done(self.real.get(job_id))

    def pass_s(self, seconds):
        self.clock.now_s += seconds
        self.monotonic.now_s += seconds
