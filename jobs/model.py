"""What a job is: status, cause, and the frozen records that cross layers.

Owns the words of DESIGN 2. Does not own: which moves between statuses are legal
(``transitions``), the order of the queue (``ordering``), nor any wire format (``routes``).
Times are seconds since the epoch as float (``_at_s``); durations are ``_s``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .waits import Parked

PRIORITY_MIN = 1
PRIORITY_MAX = 10
PRIORITY_DEFAULT = 3

DEFAULT_POOL = "default"
"""The pool of a job that asks for none: every instance serves it unless its settings say otherwise."""

SUSPECT_DEATHS = 2
"""A job whose process died this often while it ran is a suspect (DESIGN 8)."""

JsonObject = dict[str, Any]


class JobStatus(str, Enum):
    """Where a job stands. ``held`` is a flag on a queued job, not a status."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Cause(str, Enum):
    """Why a job or an attempt did not simply succeed."""

    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    NODE_ERROR = "NODE_ERROR"
    MODEL_MISSING = "MODEL_MISSING"
    INPUT_CHANGED = "INPUT_CHANGED"
    STALLED = "STALLED"
    PROCESS_DIED = "PROCESS_DIED"
    POISON = "POISON"
    INTERRUPTED = "INTERRUPTED"
    LEASE_LOST = "LEASE_LOST"
    UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"
    SECRET_LOST = "SECRET_LOST"
    EXPIRED = "EXPIRED"
    CANCELED = "CANCELED"


class Source(str, Enum):
    """Which door a job came through; a metric label, so the set is closed."""

    PROMPT = "prompt"
    SUBMIT = "submit"
    BATCH = "batch"
    V2 = "v2"
    IN_PROCESS = "in_process"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a job belongs to (DESIGN 14).

    ``trusted`` is true for token and proxy names; a client id is a claim, not an identity.
    """

    name: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """One file a job made, as ComfyUI names it.

    ``folder`` is ComfyUI's ``output``, ``temp`` or ``input``; ``kind`` is the v2 contract's
    ``image | video | audio | text | file | latent``; ``size_bytes`` is None when the file was not found. ``cached``: the node
    that made it did not run in this job, its result came from ComfyUI's cache.
    """

    node_id: str
    name: str
    subfolder: str
    folder: str
    kind: str
    content_type: str
    size_bytes: int | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, for people: the cause's name, one sentence, and the node if one is to blame."""

    code: str
    message: str
    node_id: str | None = None
    class_type: str | None = None
    exception_type: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job, numbered from 1. ``outcome`` is None while it runs.

    ``boot_id`` names the instance's life that ran it. While it runs, a ``cause`` of ``INTERRUPTED`` says that its process
    was asked to stop (a planned stop), at ``finished_at_s``: if the process ends now, that is no death. ``message`` says
    why it did not succeed. ``parked_s``: how long of it the job was parked, and nothing ran.
    """

    number: int
    started_at_s: float
    boot_id: str
    finished_at_s: float | None = None
    outcome: JobStatus | None = None
    cause: Cause | None = None
    last_node_id: str | None = None
    message: str | None = None
    parked_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Payload:
    """What ComfyUI needs to run a job, as JSON text: kept apart because lists and polls never need it.

    ``prompt_json`` is the prompt after validation (coerced, ``_priority`` lifted) and before execution.
    ``extra_json`` never holds secrets; ``outputs_json`` is the list of output nodes to execute.
    """

    prompt_json: str
    extra_json: str
    outputs_json: str

    @property
    def size_bytes(self) -> int:
        """What it weighs for the queue's limits: JSON text in ASCII."""
        return len(self.prompt_json) + len(self.extra_json) + len(self.outputs_json)


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What makes a repeated request the same one (``Idempotency-Key``).

    Unique per principal for ``store.base.KEY_LIFE_S``. ``fingerprint`` is a digest of the request's body: equal for equal requests.
    """

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class BatchSlot:
    """A job's place in the batch that it was submitted with; ``index`` counts from 0."""

    batch_id: str
    index: int


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Whom to tell of a job over HTTP. ``events``: only these types; empty: its end."""

    url: str
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that asks to enter the store. ``number`` is ComfyUI's and only breaks ties of the score.

    ``not_before_s``: not claimed earlier; ``expires_at_s``: ends ``expired`` if it waits still; both seconds since the
    epoch. ``max_attempts`` None: the server's setting. ``models``: the model files that it names, for affinity. ``pool``:
    which instances may run it; ``origin``: the instance where it was submitted and its results come home to (its name, see
    ``jobs.instances``), None where there is but one. ``must_enter``: nobody can be told that there is no room, so it gets in.
    """

    id: str
    principal: Principal
    priority: int
    source: Source
    created_at_s: float
    number: float
    payload: Payload
    front: bool = False
    client_id: str | None = None
    metadata: JsonObject = field(default_factory=lambda: {})
    signature: str = ""
    node_count: int = 0
    prompt_length: int = 0
    needs_secret: bool = False
    not_before_s: float | None = None
    expires_at_s: float | None = None
    max_attempts: int | None = None
    models: tuple[str, ...] = ()
    request_key: RequestKey | None = None
    slot: BatchSlot | None = None
    webhook: WebhookTarget | None = None
    pool: str = DEFAULT_POOL
    origin: str | None = None
    must_enter: bool = False


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch that asks to enter together with its jobs, which name it in their ``slot``.

    ``count``: how many jobs it has; ``about``: what else is told of it, as JSON.
    """

    id: str
    principal: str
    created_at_s: float
    count: int
    about: JsonObject = field(default_factory=lambda: {})


@dataclass(frozen=True, slots=True)
class Job:
    """A stored job. ``seq`` is the order of arrival; ``score`` the static place in the queue (smallest first).

    ``not_before_s`` is also when a back-off ends. ``forgiven``: the number of the last attempt before the job was
    re-driven by hand; attempts up to it count neither as tries nor as deaths. ``parked``: None unless it was since it came.
    """

    id: str
    principal: Principal
    priority: int
    source: Source
    status: JobStatus
    created_at_s: float
    queued_at_s: float
    number: float
    seq: int
    start_tag: float
    score: float
    estimated_s: float
    signature: str = ""
    client_id: str | None = None
    metadata: JsonObject = field(default_factory=lambda: {})
    node_count: int = 0
    prompt_length: int = 0
    needs_secret: bool = False
    held: bool = False
    cached: bool = False
    started_at_s: float | None = None
    finished_at_s: float | None = None
    attempts: tuple[Attempt, ...] = ()
    outputs: tuple[Output, ...] = ()
    cause: Cause | None = None
    error: JobError | None = None
    not_before_s: float | None = None
    expires_at_s: float | None = None
    max_attempts: int | None = None
    models: tuple[str, ...] = ()
    forgiven: int = 0
    slot: BatchSlot | None = None
    webhook: WebhookTarget | None = None
    pool: str = DEFAULT_POOL
    origin: str | None = None
    parked: Parked | None = None

    @property
    def attempt(self) -> int:
        """The number of the current or last attempt; 0 before the first."""
        return self.attempts[-1].number if self.attempts else 0

    @property
    def in_line(self) -> bool:
        """Whether it stands in the line, claimable or not: it is queued or parked."""
        return self.status in _IN_LINE

    def parked_s(self, at_s: float) -> float:
        """How long it was parked by ``at_s``, in all."""
        now_s = 0.0 if self.parked is None or self.parked.since_s is None else max(0.0, at_s - self.parked.since_s)
        return now_s + sum(attempt.parked_s for attempt in self.attempts)

    @property
    def deaths(self) -> int:
        """How often the process died while this job ran, or was not heard of any more, since it was last re-driven; planned
        stops do not count."""
        if not self.attempts:
            return 0
        return sum(attempt.cause in _DEATHS for attempt in self.attempts if attempt.number > self.forgiven)

    @property
    def tries(self) -> int:
        """The attempts that count against ``max_attempts``: no deaths and no planned stops; the one that runs counts."""
        return sum(
            attempt.outcome is None or attempt.cause not in _NO_TRY
            for attempt in self.attempts
            if attempt.number > self.forgiven
        )

    @property
    def suspect(self) -> bool:
        """Whether it died so often that it runs after all other waiting work."""
        return self.deaths >= SUSPECT_DEATHS


_IN_LINE = frozenset({JobStatus.QUEUED, JobStatus.WAITING})
_DEATHS = frozenset({Cause.PROCESS_DIED, Cause.LEASE_LOST})
_NO_TRY = _DEATHS | {Cause.INTERRUPTED}


@dataclass(frozen=True, slots=True)
class Claim:
    """A job taken to run. ``attempt`` fences it: only the job's current attempt may finish it."""

    job: Job
    payload: Payload
    attempt: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended. ``status`` is SUCCEEDED, FAILED or CANCELED; ``run_s`` is the time on the machine.

    ``history_json``: what ComfyUI's history holds of the run besides the prompt (``{"outputs", "status", "meta"}``), kept
    so that it can be shown after a restart; None to keep nothing.
    """

    status: JobStatus
    finished_at_s: float
    run_s: float
    cause: Cause | None = None
    error: JobError | None = None
    outputs: tuple[Output, ...] = ()
    cached: bool = False
    last_node_id: str | None = None
    history_json: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The latest snapshot of a running job. ``value`` is 0..1; ``step`` and ``steps`` are the current node's."""

    value: float
    nodes_done: int
    nodes_total: int
    current_node: str | None = None
    current_node_class: str | None = None
    step: float | None = None
    steps: float | None = None
