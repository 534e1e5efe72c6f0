"""Which node classes this server allows: lists of globs, deny before allow.

Owns the decision per class. Does not know whether the class exists, nor who asks.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import Any

from ..jobs.errors import Fault
from .faults import pointer, short


class NodePolicy:
    """The allow and deny lists. A class is allowed when no deny glob matches it and, if there are allow globs, one does.

    Globs are case-sensitive (``*``, ``?``, ``[abc]``).
    """

    def __init__(self, allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> None:
        """Compile the lists; two empty ones allow everything."""
        self._allow = _compiled(allow)
        self._deny = _compiled(deny)
        self.open = not allow and not deny

    def allows(self, class_type: str) -> bool:
        """Whether prompts may use ``class_type``."""
        if self._deny is not None and self._deny.match(class_type):
            return False
        return self._allow is None or self._allow.match(class_type) is not None

    def faults(self, prompt: dict[str, dict[str, Any]]) -> Iterator[Fault]:
        """One fault per node whose class is not allowed."""
        if self.open:
            return
        for node_id, node in prompt.items():
            class_type = node["class_type"]
            if not self.allows(class_type):
                yield Fault(
                    pointer("prompt", node_id, "class_type"),
                    "NODE_NOT_ALLOWED",
                    f"Node {short(node_id)}: this server's settings do not allow the class {short(class_type)}.",
                    node_id=node_id,
                    class_type=class_type,
                    core_type="node_not_allowed",
                    core_details=short(class_type),
                )


def _compiled(globs: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs)) if globs else None
