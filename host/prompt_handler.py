"""ComfyUI's official on-prompt seam: gives core the body without priorities in it.

Behind our middleware the body was checked and lifted already and is handed over as it is; without the middleware this
handler lifts by itself (it cannot refuse: core swallows what it raises).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..jobs.model import PRIORITY_DEFAULT, Source
from .context import SUBMISSION, Submission
from .ports import StockGate


def prompt_handler(gate: StockGate) -> Callable[[Any], Any]:
    """The handler for ``PromptServer.add_on_prompt_handler``."""

    def on_prompt(body: Any) -> Any:
        submission = SUBMISSION.get()
        if submission is not None and submission.body is not None:
            return submission.body
        lifted, priority = gate.lift(body)
        if submission is None:
            # No middleware: this request's context still carries the priority to ``put``.
            owner = gate.owner(lifted)
            SUBMISSION.set(Submission(principal=owner, source=Source.PROMPT, priority=priority or PRIORITY_DEFAULT))
        return lifted

    return on_prompt
