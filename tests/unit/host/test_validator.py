"""Core's validation behind one face, whatever its signature; what is the server's own stays on the server."""

from __future__ import annotations

from typing import Any

import pytest

from expeditor.host.validator import ComfyValidator

ERROR = {
    "type": "exception_during_validation",
    "message": "Exception when validating node",
    "details": "'x'",
    "extra_info": {"exception_type": "KeyError", "traceback": ['File "secret.py"']},
}
NODE_ERRORS = {"3": {"errors": [ERROR], "dependent_outputs": ["3"], "class_type": "X"}}


def old(prompt: Any) -> Any:
    return (True, None, ["3"], [])


async def middle(prompt_id: Any, prompt: Any) -> Any:
    assert prompt == {"p": 1}
    return (True, None, ["3"], {})


async def new(prompt_id: Any, prompt: Any, partial_execution_list: Any) -> Any:
    return (True, None, [*partial_execution_list], {})


async def newer(prompt_id: Any, prompt: Any, partial_execution_list: Any, more: Any = None) -> Any:
    assert more is None
    return (True, None, [*partial_execution_list], {}, "something new")


async def wrapped(*args: Any, **kwargs: Any) -> Any:
    return await new(*args, **kwargs)


@pytest.mark.parametrize("function", [old, middle, new, newer, wrapped])
async def test_every_signature_is_understood(function: Any) -> None:
    verdict = await ComfyValidator(function).validate("id", {"p": 1}, ["3"])
    assert verdict.valid
    assert verdict.error is None
    assert verdict.outputs_to_execute == ("3",)
    assert verdict.node_errors == {}


async def test_tracebacks_stay_on_the_server_and_the_rest_is_told() -> None:
    async def core(prompt_id: Any, prompt: Any, targets: Any) -> Any:
        return (False, {**ERROR, "type": "prompt_outputs_failed_validation"}, [], NODE_ERRORS)

    verdict = await ComfyValidator(core).validate("id", {}, None)
    assert not verdict.valid
    assert verdict.error is not None
    assert "traceback" not in verdict.error["extra_info"]
    (error,) = verdict.node_errors["3"]["errors"]
    assert error["extra_info"] == {"exception_type": "KeyError"}
    assert verdict.node_errors["3"]["class_type"] == "X"
    assert "traceback" in ERROR["extra_info"]  # core's own objects are not touched


async def test_a_core_that_raises_is_a_refusal() -> None:
    async def core(prompt_id: Any, prompt: Any, targets: Any) -> Any:
        raise TypeError("unhashable")

    verdict = await ComfyValidator(core).validate("id", {}, None)
    assert not verdict.valid
    assert verdict.error is not None
    assert verdict.error["details"] == "unhashable"
