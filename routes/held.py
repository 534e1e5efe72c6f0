"""The answer to a request that was held until its job ended, or not long enough for that."""

from __future__ import annotations

import math

from aiohttp import web

from ..intake.views import JobView
from ..jobs.transitions import is_terminal
from .render import Address, job_json

RETRY_AFTER_S = (1, 30)
"""Least and most that a client is told to wait before it asks again; in between, the job's own estimate."""


def held_answer(view: JobView, address: Address, headers: dict[str, str] | None = None) -> web.Response:
    """200 with the ended job, else 202 with the job as it stands, where it is and when to ask again."""
    headers = {**(headers or {}), "Location": f"/expeditor/jobs/{view.job.id}"}
    ended = is_terminal(view.job.status)
    if not ended:
        least_s, most_s = RETRY_AFTER_S
        headers["Retry-After"] = str(min(max(math.ceil(view.eta_s or 0.0), least_s), most_s))
    return web.json_response(job_json(view, address), status=200 if ended else 202, headers=headers)
