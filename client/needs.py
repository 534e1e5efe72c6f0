"""The doorway of the command line: says in one sentence what is missing where the extra ``client`` is not installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec

LIBRARIES = ("httpx", "httpx_sse", "rich", "tenacity", "typer", "websocket")
MISSING = 2
"""The exit code when a library is missing, as for any wrong use."""


def run_command_line() -> None:
    """The program ``expeditor``. Ends the process with one of the exit codes of ``faults``."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"expeditor: {', '.join(missing)} is not installed. The command line needs the extra client: "
            "python -m pip install 'expeditor[client]', or '.[client]' in a checkout.\n"
        )
        sys.exit(MISSING)
    from .app import main  # noqa: PLC0415 - its libraries are there now

    sys.exit(main())
