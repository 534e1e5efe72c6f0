"""ComfyUI's own validation behind ``intake.ports.CoreValidator``.

Owns calling ``execution.validate_prompt`` by the signature it has here, and taking the server's tracebacks out of its
verdict. Does not judge.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Hashable
from typing import Any, cast

from ..jobs.entry import CoreVerdict

log = logging.getLogger("expeditor.host")

_SERVER_ONLY = ("traceback",)


class ComfyValidator:
    """See the module's docstring. ``validate`` never raises."""

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        """``function`` stands for ``execution.validate_prompt``; by default that one, looked up at each call, so that a
        pack which replaces it later is heard."""
        self._function = function
        self._counted: tuple[Callable[..., Any], int] | None = None

    async def validate(self, prompt_id: str, prompt: dict[str, Any], targets: list[str] | None) -> CoreVerdict:
        """Core's verdict on ``prompt``; may coerce values inside it, as core does."""
        try:
            function = self._function or _comfy_function()
            arguments = (prompt_id, prompt, targets)
            count = self._positional(function)
            answer = function(*((prompt,) if count == 1 else arguments[:count]))
            verdict = tuple(await answer if inspect.isawaitable(answer) else answer)
            return _verdict(*verdict[:4])
        except Exception as fault:
            log.exception("ComfyUI's validation failed")
            return CoreVerdict(False, _failed(fault), (), {})

    def own(self) -> Hashable | None:
        """See ``CoreValidator.own``."""
        import execution

        functions = (_comfy_function(), getattr(execution, "validate_inputs", None))
        # What another pack put there, wrappers too, was written in another module.
        theirs = any(getattr(function, "__globals__", None) is not vars(execution) for function in functions)
        return None if self._function is not None or theirs else functions

    def _positional(self, function: Callable[..., Any]) -> int:
        if self._counted is None or self._counted[0] is not function:
            self._counted = (function, _positional(function))
        return self._counted[1]


def _comfy_function() -> Callable[..., Any]:
    import execution

    return cast("Callable[..., Any]", execution.validate_prompt)


def _positional(function: Callable[..., Any]) -> int:
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return 3
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return min(3, sum(1 for kind in kinds if kind in plain))


def _verdict(valid: Any, error: Any = None, outputs: Any = (), node_errors: Any = None) -> CoreVerdict:
    # Old cores give the node errors as an empty list when there are none.
    nodes = cast("dict[str, Any]", node_errors) if isinstance(node_errors, dict) else {}
    return CoreVerdict(
        valid=bool(valid),
        error=_without_traceback(error) if isinstance(error, dict) else None,
        outputs_to_execute=tuple(str(output) for output in outputs or ()),
        node_errors={str(node_id): _clean_node(report) for node_id, report in nodes.items()},
    )


def _clean_node(report: Any) -> Any:
    if not isinstance(report, dict):
        return report
    fields = cast("dict[str, Any]", report)
    errors = cast("list[Any]", fields.get("errors") or [])
    return {**fields, "errors": [_without_traceback(error) for error in errors]}


def _without_traceback(error: Any) -> Any:
    if not isinstance(error, dict):
        return error
    fields = cast("dict[str, Any]", error)
    extra = fields.get("extra_info")
    if not isinstance(extra, dict):
        return fields
    told = {key: value for key, value in cast("dict[str, Any]", extra).items() if key not in _SERVER_ONLY}
    return {**fields, "extra_info": told}


def _failed(fault: Exception) -> dict[str, Any]:
    return {
        "type": "exception_during_validation",
        "message": "Exception when validating the prompt",
        "details": str(fault),
        "extra_info": {"exception_type": type(fault).__name__},
    }
