"""`python benchmarks/style.py [--quick] [--only STYLES] [--write]`: time and memory per megapixel of every style, in one run.

Each style is rendered in a process of its own, from 512² to 3840x2160, on two CPU threads, and on a CUDA device where one
is at hand. Prints tables with the aims beside what was got; `--write` puts them into docs/performance.md. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import compare

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((512, 512), (1024, 1024), (2048, 2048), (2160, 3840))
QUICK_SIZES = ((512, 512), (1024, 1024))
THREADS, REPEATS = 2, 3
AIMS_S = {"vangogh": 3.0, "sketch": 2.0, "comic": 2.0}
MEMORY_BYTES, STOP_S = 1_000_000_000, 0.5
MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One style at one size; times are the best of the repeats."""

    height: int
    width: int
    seconds: float
    peak_bytes: int
    longest_silence_s: float
    checks: int

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.height * self.width / MEGA

    @property
    def name(self) -> str:
        """As in the tables' heads."""
        return f"{self.height}²" if self.height == self.width else f"{self.width}×{self.height}"

    @property
    def seconds_per_megapixel(self) -> float:
        """Of wall time."""
        return self.seconds / self.megapixels

    @property
    def bytes_per_pixel(self) -> float:
        """The same number as megabytes per megapixel."""
        return self.peak_bytes / (self.height * self.width)


Found = dict[str, list[Figure]]


def rendered(style: str, sizes: tuple[tuple[int, int], ...], device: str) -> list[Figure]:
    """All sizes of one style; RuntimeError with the child's words when it fails."""
    asked = {"style": style, "sizes": sizes, "threads": THREADS, "repeats": REPEATS, "device": device}
    child = [sys.executable, str(ROOT / "tests/support/style_render.py"), json.dumps(asked)]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{style} on {device}: {done.stderr.strip()[-2000:]}")
    return [Figure(**one) for one in json.loads(done.stdout)]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def verdict(*, met: bool) -> str:
    """As in the other tables."""
    return "yes" if met else "**no**"


def aims(found: Found) -> str:
    """What was aimed at, for the sizes that were rendered."""
    rows: list[list[str]] = []
    for style, aim_s in AIMS_S.items():
        for figure in found.get(style, []):
            if figure.name == "1024²":
                met = verdict(met=figure.seconds <= aim_s)
                rows.append([f"`{style}`, 1024²", f"≤ {aim_s:g} s", f"{figure.seconds:.2f} s", met])
    largest = {style: figures[-1] for style, figures in found.items()}
    name = next(iter(largest.values())).name
    hungry = max(largest, key=lambda style: largest[style].peak_bytes)
    most = largest[hungry].peak_bytes
    got = f"{most / MEGA:.0f} MB (`{hungry}`)"
    rows.append([f"memory at {name}, most of all styles", "< 1 GB", got, verdict(met=most < MEMORY_BYTES)])
    deaf = max(largest, key=lambda style: largest[style].longest_silence_s)
    longest_s = largest[deaf].longest_silence_s
    got = f"{longest_s:.2f} s (`{deaf}`)"
    rows.append(
        [f"interrupt at {name}: longest wait for a look", f"< {STOP_S:g} s", got, verdict(met=longest_s < STOP_S)]
    )
    return table(["", "aim", "got", "met"], rows)


def per_megapixel(found: Found) -> str:
    """Time and memory of every style and size, and how they grow from a megapixel to the largest."""
    names = [figure.name for figure in next(iter(found.values()))]
    rows: list[list[str]] = []
    for style, figures in found.items():
        base, last = next(one for one in figures if one.name == "1024²"), figures[-1]
        rows.append(
            [
                f"`{style}`",
                *(f"{one.seconds_per_megapixel:.2f}" for one in figures),
                f"{last.seconds_per_megapixel / base.seconds_per_megapixel:.2f}×",
                *(f"{one.bytes_per_pixel:.0f}" for one in figures),
                f"{last.bytes_per_pixel / base.bytes_per_pixel:.2f}×",
            ]
        )
    head = ["style", *(f"s/MP {name}" for name in names), "growth", *(f"MB/MP {name}" for name in names), "growth"]
    return table(head, rows)


def run(styles: list[str], sizes: tuple[tuple[int, int], ...]) -> str:
    """The text for the page; each style is told on standard error as soon as it is known."""
    import torch  # noqa: PLC0415 - importable only with the development interpreter

    from benchmarks import report  # noqa: PLC0415 - importable once the paths are set

    began = time.monotonic()

    def all_styles(device: str) -> Found:
        found: Found = {}
        for style in styles:
            found[style] = rendered(style, sizes, device)
            said = ", ".join(f"{one.name} {one.seconds:.2f} s {one.peak_bytes / MEGA:.0f} MB" for one in found[style])
            sys.stderr.write(f"[{time.monotonic() - began:4.0f} s] {style} on {device}: {said}\n")
        return found

    on_cpu = all_styles("cpu")
    growth = f"Growth is from 1024² to {next(iter(on_cpu.values()))[-1].name}."
    machine = report.machine().removesuffix(", CPU only")
    head = f"{machine}, {THREADS} threads of the processor; best of {REPEATS} up to 1024², one run above."
    parts = [
        head,
        aims(on_cpu),
        f"Seconds and megabytes per megapixel, input and result included. {growth}",
        per_megapixel(on_cpu),
    ]
    if torch.cuda.is_available():
        on_gpu = all_styles("cuda")
        parts += [f"On {torch.cuda.get_device_name()}; megabytes are those of the device:", per_megapixel(on_gpu)]
    else:
        parts.append("No CUDA device was at hand: nothing was measured on one.")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Time and memory of the styles.")
    parser.add_argument("--quick", action="store_true", help="512² and 1024² only")
    parser.add_argument("--only", default="", help="comma-separated styles; all when left out")
    parser.add_argument("--write", action="store_true", help="also write docs/performance.md's part")
    options = parser.parse_args()
    compare.make_importable()
    compare.use_development_python()
    from expeditor.nodes.style.presets import PRESETS, REFERENCE_PRESETS  # noqa: PLC0415

    styles = [preset.name for preset in PRESETS + REFERENCE_PRESETS]
    wanted = options.only.split(",") if options.only else styles
    if unknown := [name for name in wanted if name not in styles]:
        parser.error(f"no such style: {', '.join(unknown)}; there are {', '.join(styles)}")
    text = run(wanted, QUICK_SIZES if options.quick else SIZES)
    sys.stdout.write("\n" + text)
    if options.write:
        from benchmarks.pages import replace_part  # noqa: PLC0415

        replace_part(ROOT / "docs/performance.md", "style", text)


if __name__ == "__main__":
    main()
