"""A node that shows pictures to a person, who lets them pass or not, and may edit a text on the way.

Owns its schema and what follows from the answer. The waiting is ``waiting``'s.
"""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..jobs.waits import APPROVE, REJECT, Answer, Ask, AskKind
from .waiting import FAIL, AskingNode, asking_schema, no_answer, timeout_input, wait_for_answer

BLOCK = "block"
MOST_SHOWN = 64
ON_TIMEOUT = (APPROVE, REJECT, FAIL)
ON_REJECT = (BLOCK, FAIL)


class Rejected(ValueError):
    """A person said no, and the author chose to fail then. A ValueError, so that it is not retried."""


class ApproveImage(AskingNode):
    """See the module's docstring."""

    @classmethod
    def define_schema(cls) -> Any:
        """The pictures and the text pass; on no, what hangs on them does not run, and ``approved`` is False."""
        return asking_schema(
            node_id="ApproveImage",
            display_name="Approve image",
            description="Shows pictures and waits until somebody approves or rejects them; a text can be edited on the way.",
            inputs=_inputs(),
            outputs=[
                io.Image.Output(
                    "approved_image", display_name="image", tooltip="The same pictures; blocked when rejected."
                ),
                io.String.Output(
                    "edited_text", display_name="text", tooltip="The text as edited; blocked when rejected."
                ),
                io.Boolean.Output("approved", display_name="approved", tooltip="Whether they were approved."),
            ],
            search_aliases=["review", "preview and continue", "human in the loop"],
        )

    @classmethod
    async def execute(
        cls, image: Any, label: str, timeout_s: float, on_timeout: str, on_reject: str, text: str = ""
    ) -> Any:
        """Show, wait, and pass on or block."""
        shown = min(int(image.shape[0]), MOST_SHOWN)
        ask = Ask(AskKind.APPROVE, label, text, pictures=shown)
        answer = await wait_for_answer(cls, ask, timeout_s, image)
        if answer is None and on_timeout == FAIL:
            raise no_answer(ask, timeout_s)
        answer = answer or Answer(text=text, approved=on_timeout == APPROVE)
        if answer.approved:
            return io.NodeOutput(image, answer.text, True)
        if on_reject == FAIL:
            raise Rejected(f"'{label}' was rejected.")
        return io.NodeOutput(ExecutionBlocker(None), ExecutionBlocker(None), False)


def _inputs() -> list[Any]:
    return [
        io.Image.Input(
            "image",
            tooltip=f"A picture or a batch, approved or rejected as a whole; of a batch the first {MOST_SHOWN} are shown.",
        ),
        io.String.Input("label", default="Approve?", tooltip="What the person is asked."),
        timeout_input(),
        io.Combo.Input(
            "on_timeout",
            options=list(ON_TIMEOUT),
            default=REJECT,
            tooltip="At the deadline: approve, reject, or fail the job.",
        ),
        io.Combo.Input(
            "on_reject",
            options=list(ON_REJECT),
            default=BLOCK,
            tooltip="When rejected: block what hangs on image and text while the rest of the job goes on, or fail the job.",
        ),
        io.String.Input(
            "text",
            default="",
            multiline=True,
            optional=True,
            tooltip="A text to show, a prompt perhaps, that can be edited.",
        ),
    ]
