"""Who is told of which event: the job's own target, and the one of its token or else of the server. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...jobs.belonging import is_home, runs_elsewhere
from ...jobs.deliveries import NewDelivery, TargetOrigin, delivery_id
from ...jobs.events import LoggedEvent
from ...jobs.model import Job, JobStatus, WebhookTarget
from ...jobs.transitions import is_terminal
from ...jobs.webhook_rules import BadUrl, parse_url
from .ports import Body

ENDS = frozenset(f"job.{status.value}" for status in JobStatus if is_terminal(status))
"""What a target hears that names no events: the end of the job."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of the settings: those of tokens by name, and the server's own.

    ``signers``: the tokens that sign with a secret of their own. ``per_job``: whether jobs' own targets count. ``here``: this instance's
    name where several share the queue: one of them tells of a job, that where it was submitted.
    """

    tokens: Mapping[str, WebhookTarget] = field(default_factory=lambda: {})
    server: WebhookTarget | None = None
    signers: frozenset[str] = frozenset()
    per_job: bool = True
    here: str | None = None

    def of(self, job: Job, event_type: str) -> tuple[tuple[WebhookTarget, TargetOrigin], ...]:
        """Whom to tell that such an event happened to the job; each URL once, the job's own target first."""
        if not self._ours(job):
            return ()
        found: dict[str, tuple[WebhookTarget, TargetOrigin]] = {}
        for target, origin in self._all(job):
            if target is not None and target.url not in found and event_type in (target.events or ENDS):
                found[target.url] = (target, origin)
        return tuple(found.values())

    def deliveries(self, event: LoggedEvent, job: Job, body: Body) -> list[NewDelivery]:
        """The messages about one event. A URL that no version of ours would take any more is passed over."""
        wanted = self.of(job, event.type)
        if not wanted:
            return []
        text = body(event, job)
        signer = job.principal.name if job.principal.trusted and job.principal.name in self.signers else ""
        made: list[NewDelivery] = []
        for target, origin in wanted:
            try:
                place = parse_url(target.url).place
            except BadUrl:
                continue
            message_id = delivery_id(job.id, event.type, event.number, target.url)
            signed_by = "" if origin is TargetOrigin.SERVER else signer
            made.append(
                NewDelivery(message_id, job.id, event.type, event.number, target.url, place, origin, signed_by, text)
            )
        return made

    def _ours(self, job: Job) -> bool:
        """Of a job whose origin nobody knows the instance tells that ran it; before any did, the one that committed the event."""
        return is_home(job, self.here) and (
            self.here is None or job.origin is not None or not runs_elsewhere(job, self.here)
        )

    def _all(self, job: Job) -> tuple[tuple[WebhookTarget | None, TargetOrigin], ...]:
        own = job.webhook if self.per_job else None
        token = self.tokens.get(job.principal.name) if job.principal.trusted else None
        if token is not None:
            return (own, TargetOrigin.JOB), (token, TargetOrigin.TOKEN)
        return (own, TargetOrigin.JOB), (self.server, TargetOrigin.SERVER)
