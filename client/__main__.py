"""``python -m expeditor.client``, and ``python client`` in a checkout: the command line, also where no program was installed."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

if __name__ == "__main__":
    if not __package__:  # run by its path: the checkout stands for the package, whatever it is called
        package = ModuleType("expeditor")
        package.__path__ = [str(Path(__file__).resolve().parents[1])]
        sys.modules["expeditor"] = package
        sys.path[0] = ""
    import_module("expeditor.client.needs").run_command_line()
