"""A node that shows a batch of pictures to a person, who chooses which of them go on.

Owns its schema and what follows from the choice. The waiting is ``waiting``'s.
"""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..jobs.waits import Ask, AskKind
from .waiting import FAIL, AskingNode, asking_schema, no_answer, timeout_input, wait_for_answer

FIRST, ALL, NONE = "first", "all", "none"
ON_TIMEOUT = (FIRST, ALL, NONE, FAIL)
MAX_PICTURES = 256


class PickImages(AskingNode):
    """See the module's docstring."""

    @classmethod
    def define_schema(cls) -> Any:
        """The chosen pictures as a batch, in the order in which they were chosen."""
        return asking_schema(
            node_id="PickImages",
            display_name="Pick images",
            description="Shows a batch and waits until somebody has chosen which of its pictures go on.",
            inputs=_inputs(),
            outputs=[
                io.Image.Output(
                    "picked_images", display_name="images", tooltip="Those chosen, in that order; blocked when none is."
                ),
                io.String.Output(
                    "indices", display_name="indices", tooltip="Their places in the batch, from 0, such as 2,0."
                ),
            ],
            search_aliases=["choose image", "select from batch", "image filter", "human in the loop"],
        )

    @classmethod
    async def execute(cls, images: Any, label: str, least: int, most: int, timeout_s: float, on_timeout: str) -> Any:
        """Show, wait, and pass the chosen ones on."""
        ask = _ask(label, int(images.shape[0]), least, most)
        answer = await wait_for_answer(cls, ask, timeout_s, images)
        if answer is None and on_timeout == FAIL:
            raise no_answer(ask, timeout_s)
        picks = list(_default(ask, on_timeout) if answer is None else answer.picks)
        if not picks:
            return io.NodeOutput(ExecutionBlocker(None), "")
        return io.NodeOutput(images[picks], ",".join(str(pick) for pick in picks))


def _ask(label: str, there: int, least: int, most: int) -> Ask:
    """``most`` 0: as many as there are. Raises ``ValueError`` for what nobody could answer."""
    if there > MAX_PICTURES:
        raise ValueError(f"The batch has {there} pictures; at most {MAX_PICTURES} can be chosen of.")
    if most and least > most:
        raise ValueError(f"least is {least} and most is {most}: nobody can choose so.")
    if least > there:
        raise ValueError(f"At least {least} are to be chosen, but the batch has {there}.")
    return Ask(AskKind.PICK, label, pictures=there, least=least, most=min(most or there, there))


def _default(ask: Ask, on_timeout: str) -> range:
    return range({FIRST: max(ask.least, 1), ALL: ask.pictures}.get(on_timeout, 0))


def _inputs() -> list[Any]:
    return [
        io.Image.Input("images", tooltip="The batch to choose of."),
        io.String.Input("label", default="Pick", tooltip="What the person is asked."),
        io.Int.Input("least", default=1, min=0, max=MAX_PICTURES, tooltip="How many must be chosen."),
        io.Int.Input(
            "most", default=1, min=0, max=MAX_PICTURES, tooltip="How many may be chosen; 0: as many as there are."
        ),
        timeout_input(),
        io.Combo.Input(
            "on_timeout",
            options=list(ON_TIMEOUT),
            default=FIRST,
            tooltip="At the deadline: the first (as many as must be), all, none (what hangs on them is blocked), or fail the job.",
        ),
    ]
