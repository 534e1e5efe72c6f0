"""`python migrate.py --to redis://host:6379/0` moves the jobs that wait to a queue that several instances share; `--help` says more.

The doorway of the command for a pack that lies in ComfyUI's `custom_nodes/` and is not installed; run it with ComfyUI's own Python. The
work is `runtime/migrate.py`'s.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

if __name__ == "__main__":
    package = ModuleType("expeditor")
    package.__path__ = [str(Path(__file__).absolute().parent)]
    sys.modules["expeditor"] = package
    sys.exit(import_module("expeditor.runtime.migrate").main())
