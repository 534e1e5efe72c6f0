"""`python backup.py TARGET` copies the queue's database while the server runs; `--help` says more.

The doorway of the command for a pack that lies in ComfyUI's `custom_nodes/` and is not installed. The work is
`store/sqlite/backup.py`'s; nothing but Python is needed.
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
    sys.exit(import_module("expeditor.store.sqlite.backup").main())
