"""How urgent may whose jobs be, and how urgent are they by default: the settings. Pure.

Own routes refuse what lies above (``check``); stock ``/prompt`` refuses nothing that core takes, so it lowers (``lowered``).
A name that is only claimed can lower its ceiling, never raise it: anybody may write any ``client_id``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..jobs.errors import Fault, PriorityNotAllowed
from ..jobs.model import PRIORITY_DEFAULT, PRIORITY_MAX, Principal


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asks for. ``given``: it named the priority itself; a default is lowered and never refused."""

    priority: int
    given: bool = True
    front: bool = False


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The highest priority for everybody, and for single principals in its place. ``defaults``: the priority of a job that
    names none, by the name of a principal that somebody vouches for."""

    everybody: int = PRIORITY_MAX
    by_principal: Mapping[str, int] = field(default_factory=lambda: {})
    defaults: Mapping[str, int] = field(default_factory=lambda: {})

    def of(self, principal: Principal) -> int:
        """The highest priority of this principal."""
        own = self.by_principal.get(principal.name, self.everybody)
        return own if principal.trusted else min(own, self.everybody)

    def default_of(self, principal: Principal) -> int:
        """The priority of this principal's jobs that name none; its ceiling is another matter."""
        return self.defaults.get(principal.name, PRIORITY_DEFAULT) if principal.trusted else PRIORITY_DEFAULT

    def check(self, principal: Principal, wish: Wish) -> int:
        """The priority to use. Raises ``PriorityNotAllowed``; the front needs a ceiling of 10, as it overtakes everybody."""
        return granted(wish, self.of(principal))

    def check_move(self, caller: Principal, owner: Principal, wish: Wish) -> None:
        """May ``caller`` move a job of ``owner``. A caller that nobody vouches for may not lift it above the owner's ceiling."""
        ceiling = self.of(caller)
        granted(wish, ceiling if caller.trusted else min(ceiling, self.of(owner)))

    def lowered(self, principal: Principal, wish: Wish) -> Wish:
        """The same wish as far as it is allowed."""
        ceiling = self.of(principal)
        return Wish(min(wish.priority, ceiling), wish.given, wish.front and ceiling == PRIORITY_MAX)


def granted(wish: Wish, ceiling: int) -> int:
    """The priority under ``ceiling``. Raises ``PriorityNotAllowed``, which names the ceiling."""
    if wish.front and ceiling < PRIORITY_MAX:
        _refuse("front", "The front of the queue needs", ceiling)
    if wish.given and wish.priority > ceiling:
        _refuse("priority", f"Priority {wish.priority} is above yours; it needs", ceiling)
    return min(wish.priority, ceiling)


def _refuse(name: str, sentence: str, ceiling: int) -> None:
    message = f"{sentence} a higher priority ceiling than {ceiling} (10 is most urgent)."
    fault = Fault(f"/{name}", PriorityNotAllowed.code, message, f"Use 1 to {ceiling}.", input_name=name)
    raise PriorityNotAllowed(message, details={"ceiling": ceiling}, faults=(fault,))
