"""Writes ``locales/en/nodeDefs.json`` from a running server's node definitions: ``python docs/generate_locales.py http://127.0.0.1:8188``.

The other languages are translated by hand and have the same keys; tests/host/test_node_papers.py holds them together.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

ENGLISH = Path(__file__).resolve().parent.parent / "locales" / "en" / "nodeDefs.json"


def node_text(definition: dict[str, Any]) -> dict[str, Any]:
    """What the page says of one node, in the form of ComfyUI's locale files; ``definition`` is of ``/object_info``."""
    inputs: dict[str, Any] = {}
    for kind in ("required", "optional"):
        for name, declared in (definition["input"].get(kind) or {}).items():
            inputs[name] = {"name": name, "tooltip": declared[1]["tooltip"]}
    named = zip(definition["output_name"], definition["output_tooltips"], strict=True)
    return {
        "display_name": definition["display_name"],
        "description": definition["description"],
        "inputs": inputs,
        "outputs": {str(slot): {"name": name, "tooltip": tooltip} for slot, (name, tooltip) in enumerate(named)},
    }


def english(definitions: dict[str, Any]) -> dict[str, Any]:
    """All nodes of this pack among ``/object_info``."""
    return {
        name: node_text(each) for name, each in definitions.items() if each["category"].split("/")[0] == "Expeditor"
    }


def main() -> None:
    """Ask and write."""
    with urllib.request.urlopen(sys.argv[1].rstrip("/") + "/object_info", timeout=60) as answer:  # noqa: S310 - the user's own server
        definitions = json.load(answer)
    ENGLISH.parent.mkdir(parents=True, exist_ok=True)
    ENGLISH.write_text(json.dumps(english(definitions), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
