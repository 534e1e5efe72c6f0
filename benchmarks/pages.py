"""Parts of a documentation page that benchmarks write: each between two comment lines that name it."""

from __future__ import annotations

from pathlib import Path


def replace_part(page: Path, name: str, text: str) -> None:
    """Put `text` between the page's `<!-- name: begin -->` and `<!-- name: end -->`; ValueError when they are not there."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    whole = page.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise ValueError(f"{page.name} has no part {name}")
    head, rest = whole.split(begin)
    tail = rest.split(end)[1]
    page.write_text(f"{head}{begin}\n\n{text.strip()}\n\n{end}{tail}", encoding="utf-8")
