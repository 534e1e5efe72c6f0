"""Makes `expeditor` and `tests` importable in a Python process that a test starts, without pytest.

For the child: put this folder on `sys.path`, then `import child_imports`. In the tests themselves `conftest` does it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]

for _name, _folder in (("expeditor", ROOT), ("tests", ROOT / "tests")):
    _module = ModuleType(_name)
    _module.__path__ = [str(_folder)]
    sys.modules[_name] = _module
