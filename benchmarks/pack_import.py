"""How long it takes to read all of Expeditor's modules where ComfyUI's own are already in memory; seconds, on standard output.

Run with ComfyUI's folder as the working directory. Installs no hook: what `install()` costs is part of the start-up time.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import time
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
ENTRANCES = ("expeditor.runtime.install", "expeditor.nodes")

sys.path[0] = str(Path.cwd())
logging.disable(logging.CRITICAL)
importlib.import_module("comfy.options").enable_args_parsing()  # else it does not read --cpu
# In the order of main.py: later ones put a folder on the path in which `utils` is another module.
for comfyui_module in ("utils.extra_config", "execution", "server", "nodes"):
    importlib.import_module(comfyui_module)

# Packs are read after ComfyUI's own extra and partner nodes, whose libraries are in memory by then.
asyncio.run(importlib.import_module("nodes").init_extra_nodes(init_custom_nodes=False))

package = ModuleType("expeditor")
package.__path__ = [str(ROOT)]
sys.modules["expeditor"] = package
start = time.perf_counter()
for entrance in ENTRANCES:
    importlib.import_module(entrance)
sys.stdout.write(f"\n{time.perf_counter() - start:.4f}\n")
