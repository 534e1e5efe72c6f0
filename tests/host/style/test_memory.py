"""How much memory a large picture takes, input and result included, in a process of its own on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from expeditor.nodes.style.presets import PRESETS, REFERENCE_PRESETS

CHILD = Path(__file__).resolve().parents[2] / "support" / "style_render.py"
# One of the brush styles and one of the filters; each takes some ten seconds.
QUICK = ("pointillism", "comic")
MOST_BYTES = 1_000_000_000
PICTURE_BYTES = 3840 * 2160 * 3 * 4
STYLES = [preset.name for preset in PRESETS + REFERENCE_PRESETS]


def render(style: str, height: int, width: int) -> dict[str, Any]:
    asked = {"style": style, "sizes": [[height, width]], "threads": 1, "repeats": 1, "device": "cpu"}
    done = subprocess.run([sys.executable, str(CHILD), json.dumps(asked)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)[0]


@pytest.mark.parametrize(
    "style", [name if name in QUICK else pytest.param(name, marks=pytest.mark.full) for name in STYLES]
)
def test_a_picture_of_4k_takes_less_than_a_gigabyte_and_looks_up_often(style: str) -> None:
    found = render(style, 2160, 3840)
    # Input and result alone are two pictures: less would mean that nothing was measured.
    assert 2 * PICTURE_BYTES < found["peak_bytes"] < MOST_BYTES
    assert found["checks"] > 2 * (3840 // 256) * (2160 // 256)
