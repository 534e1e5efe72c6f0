"""What the page shows of a job that another instance runs: what it shows of one that runs at home."""

from __future__ import annotations

import io
import re

from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.workflows import slow_picture_workflow
from tests.support.waiting import wait_until

UNDER_WAY = re.compile(
    r"^\[\d+%\]\[[1-9]\d*%\]"
)  # how the page's title begins while a node has come further than nothing
MAGENTA = 0xE010C0
SEEN_PIXELS = 5000
"""As many of one colour that nothing else has are a picture, not a speck."""


def pixels_of(page: Page, color: int) -> int:
    """How many points of the page have this colour, as a person sees it."""
    with Image.open(io.BytesIO(page.screenshot())) as shown:
        points = {point: count for count, point in shown.convert("RGB").getcolors(shown.width * shown.height)}
    return points.get((color >> 16, color >> 8 & 255, color & 255), 0)


def test_progress_and_the_picture_of_a_run_elsewhere(editor_whose_jobs_run_elsewhere):
    editor = editor_whose_jobs_run_elsewhere
    editor.load(slow_picture_workflow(4.0, MAGENTA))
    assert pixels_of(editor.page, MAGENTA) < SEEN_PIXELS
    job_id = editor.run_with_priority(5)
    expect(editor.page).to_have_title(UNDER_WAY)
    job = editor.ended(job_id)
    assert (job["status"], job["instance"], job["origin"]) == ("succeeded", "gpu2", "gpu1")
    wait_until(lambda: pixels_of(editor.page, MAGENTA) >= SEEN_PIXELS, poll_s=0.2, what="the picture on the page")
    expect(editor.page).not_to_have_title(UNDER_WAY)
