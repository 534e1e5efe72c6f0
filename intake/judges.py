"""Who is asked whether a job may enter, and as whose: the steps that every door of ours has in common.

Owns the order of what is asked about one prompt. The rules live beside it (``validation``, ``ceilings``, ``depth``, ``tokens``); what
becomes of a job that may enter is the door's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ..jobs.errors import InputInvalid, Refused, UnknownNode
from ..jobs.model import JsonObject, Principal
from ..jobs.principals import PrincipalRules, principal_of
from ..jobs.webhook_rules import WebhookRules
from .abroad import Abroad, Judgement
from .ceilings import Ceilings, Wish
from .core_faults import faults_of
from .depth import QueueDepth
from .envelope import known_targets
from .familiar import Remembered
from .faults import refusal
from .pools import AlonePools
from .ports import CoreValidator, Roster
from .tokens import Tokens
from .validation import Checked


class Validation(Protocol):
    """The stages of ``intake.validation`` that are used here."""

    def submit(self, prompt: object) -> Checked:
        """All stages; raises a ``Refused`` with every fault."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the edge saw it: the peer's address and what it wrote into the trusted user header.

    ``key``: its ``Idempotency-Key``, if it sent one; ``authorization``: its header of that name.
    """

    remote: str | None
    user: str | None = None
    key: str | None = None
    authorization: str | None = None


@dataclass(frozen=True, slots=True)
class Judges:
    """See the module's docstring."""

    validation: Validation
    core: CoreValidator
    depth: QueueDepth
    principals: PrincipalRules
    ceilings: Ceilings
    tokens: Tokens = field(default_factory=Tokens)
    webhooks: WebhookRules = field(default_factory=WebhookRules)
    taken: Remembered[tuple[str, ...]] = field(default_factory=Remembered[tuple[str, ...]])
    """The outputs to execute of graphs that core took, by its validation and their likeness."""
    roster: Roster = field(default_factory=AlonePools)
    abroad: Abroad = field(default_factory=Abroad)

    def principal(self, caller: Caller, client_id: str | None) -> Principal:
        """Whose request it is."""
        token = self.tokens.name_of(caller.authorization)
        return principal_of(self.principals, caller.remote, caller.user, client_id, token)

    def priority(self, principal: Principal, wish: Wish) -> int:
        """The priority to use; the principal's default where it names none. Raises ``PriorityNotAllowed``."""
        priority = wish.priority if wish.given else self.ceilings.default_of(principal)
        return self.ceilings.check(principal, Wish(priority, given=wish.given, front=wish.front))

    async def judged(
        self, prompt_id: str, prompt: object, pool: str | None, targets: list[str] | None = None
    ) -> Judgement:
        """As ``prompt``, and where this instance lacks what the prompt needs, as an instance says that has it. ``pool`` is the one that is
        asked for. Raises ``Refused``, or ``StoreUnavailable`` when no such instance can be asked now."""
        try:
            own, outputs = await self.prompt(prompt_id, prompt, targets)
        except (UnknownNode, InputInvalid) as refused:
            return await self.abroad.judged(refused, prompt_id, prompt, targets, pool)
        return Judgement(own, outputs, pool)

    async def prompt(
        self, prompt_id: str, prompt: object, targets: list[str] | None = None
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """The prompt as it is to run here and the outputs to execute, after every stage and core's own. Raises ``Refused``.

        Core is not asked about a graph that is like one that it took: its verdict could be no other."""
        checked = self.validation.submit(prompt)
        own, likeness = self.core.own(), checked.likeness
        if own is None or likeness is None or targets is not None:
            return checked.prompt, await self.outputs(prompt_id, checked.prompt, targets)
        outputs = self.taken.get((own, likeness.key))
        if outputs is None:
            outputs = await self.outputs(prompt_id, checked.prompt)
            self.taken.put((own, likeness.key), outputs)
        likeness.settle()
        return checked.prompt, outputs

    async def outputs(self, prompt_id: str, prompt: JsonObject, targets: list[str] | None = None) -> tuple[str, ...]:
        """The outputs to execute of a prompt that passed our stages, if core's own validation takes it; core may coerce values
        inside it. Raises ``Refused``."""
        known = None if targets is None else known_targets(targets, prompt)
        verdict = await self.core.validate(prompt_id, prompt, known)
        if not verdict.valid or verdict.node_errors:
            raise _refusal(verdict.error, verdict.node_errors)
        return verdict.outputs_to_execute


def _refusal(error: JsonObject | None, node_errors: JsonObject) -> Refused:
    faults = faults_of(error, node_errors)
    return refusal(faults, len(faults)) if faults else InputInvalid("ComfyUI does not accept this prompt.")
