"""``python -m expeditor.client``: the command line, also where no ``expeditor`` program was installed."""

from __future__ import annotations

from .needs import run_command_line

if __name__ == "__main__":
    run_command_line()
