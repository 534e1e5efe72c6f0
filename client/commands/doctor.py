"""``expeditor doctor``: is this server well, and if not, what to mend."""

from __future__ import annotations

import typer
from rich.markup import escape

from ..examining import examine
from ..faults import ENDED_BADLY, UNREACHABLE
from ..findings import Finding, State
from ..session import Session, command
from ..show import plain

SHORT_PATIENCE_S = 5.0
_MARKS = {State.OK: "[green]ok     [/]", State.WARNING: "[yellow]warning[/]", State.BAD: "[red]bad    [/]"}


@command(patience_s=SHORT_PATIENCE_S)
def doctor(
    session: Session,
) -> None:
    """Examine a server and say what to mend. Changes nothing.

    Exit code 0: it is well, perhaps with warnings; 1: something must be mended; 4: it cannot be reached.
    """
    found: list[Finding] = []
    for finding in examine(session.transport(), session.token or None):
        found.append(finding)
        if not session.as_json:
            session.out.print(f"{_MARKS[finding.state]}  {finding.check}: {escape(plain(finding.message))}")
            if finding.remedy:
                session.out.print(f"         {escape(plain(finding.remedy))}")
    bad = [finding for finding in found if finding.state is State.BAD]
    if session.as_json:
        session.emit({"server": session.url, "well": not bad, "findings": [finding.told() for finding in found]})
    if bad:
        raise typer.Exit(UNREACHABLE if bad[0].check == "reachable" else ENDED_BADLY)
