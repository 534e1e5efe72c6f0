"""What one request to submit carries along, from the middleware or our own route to ComfyUI's ``put``.

A ``ContextVar`` is the only way through core's handler, whose signature is not ours. Nothing is kept between requests.
"""

from __future__ import annotations

from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ..jobs.errors import ExpeditorError
from ..jobs.model import PRIORITY_DEFAULT, BatchSlot, JsonObject, Principal, RequestKey, Source, WebhookTarget


@dataclass(slots=True)
class Submission:
    """What one request to submit says about its job besides the prompt."""

    principal: Principal
    source: Source
    priority: int = PRIORITY_DEFAULT
    front: bool = False
    body: JsonObject | None = None
    metadata: JsonObject = field(default_factory=lambda: {})
    not_before_s: float | None = None
    expires_in_s: float | None = None
    max_attempts: int | None = None
    slot: BatchSlot | None = None
    webhook: WebhookTarget | None = None
    pool: str | None = None
    answered: bool = False
    """The request is over; what still carries this (a task that it started) speaks for itself."""
    request_key: RequestKey | None = None
    keyed_job: str | None = None
    """The job that took the request's key."""

    def key_for(self, job_id: str) -> RequestKey | None:
        """The request's key, for the first job that it puts into the queue."""
        if self.request_key is None or self.keyed_job is not None or self.answered:
            return None
        self.keyed_job = job_id
        return self.request_key


SUBMISSION: ContextVar[Submission | None] = ContextVar("expeditor_submission", default=None)
COMMITS: ContextVar[list[Future[Any]] | None] = ContextVar("expeditor_commits", default=None)
"""The writes that the answer to this request must wait for: filled by ``put`` and by deletions."""
CLIENT_ID: ContextVar[str | None] = ContextVar("expeditor_client_id", default=None)
"""The client id in the body of the request, for the access log. (The request's own storage wants keys that only new aiohttps have.)"""


def note_client_id(client_id: object) -> None:
    """Let the access log know which client sent this request."""
    if isinstance(client_id, str):
        CLIENT_ID.set(client_id)


def can_be_told() -> bool:
    """Whether a request to submit waits for what ``put`` makes of its job, so that a refusal reaches its client."""
    submission = SUBMISSION.get()
    return submission is not None and not submission.answered and COMMITS.get() is not None


def remember_refusal(error: ExpeditorError) -> None:
    """Let the request that wanted to submit hear why its job stays outside."""
    refused: Future[Any] = Future()
    refused.set_exception(error)
    remember_commit(refused)


def remember_commit(commit: Future[Any]) -> None:
    """Let the request that caused this write wait for its commit; without a request nobody waits."""
    commits = COMMITS.get()
    if commits is not None:
        commits.append(commit)
