"""Every setting: its name, meaning, default and bounds.

Owns no behaviour: services are given the values they need. Those for clients of the API stand in ``settings_api``. Where values
come from is ``settings_source``' own, the table in ``docs/settings.md`` is made by ``settings_table``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from ..jobs.causes import OF_RUNS, SWITCHABLE, RetryLevel
from ..jobs.model import Cause
from .settings_api import ApiSettings

_T = TypeVar("_T")
ENV_PREFIX = "EXPEDITOR_"
DAY_S = 86_400.0


class Settings(ApiSettings):
    """All settings; frozen. Times in seconds, sizes in bytes, as the names say."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, env_ignore_empty=True, case_sensitive=False
    )

    enabled: bool = Field(True, description="Off: Expeditor registers its nodes and does nothing else.")
    data_dir: str | None = Field(
        None,
        description="Folder of the queue's database and of `expeditor.toml`; environment only. "
        "Default: ComfyUI's private user folder for Expeditor.",
    )
    store_deadline_s: float = Field(10.0, gt=0, le=300, description="How long a request waits for the store.")
    store_commit_delay_s: float = Field(
        0.0, ge=0, le=10, description="Extra time for each commit; for benchmarks of slow disks only."
    )
    store_check_s: float = Field(
        5.0, ge=0, le=3600, description="How long the search for damage in the database may take at start."
    )

    hooks_queue: bool = Field(True, description="Own ComfyUI's queue: priority order, durable jobs, jobs API.")
    hooks_prompt: bool = Field(True, description="Lift `_priority` out of prompts before ComfyUI reads them.")
    hooks_middleware: bool = Field(
        True, description="Check stock routes' bodies, wait for the commit before `/prompt` answers, access log."
    )
    hooks_send: bool = Field(True, description="Keep an unsendable socket message from ending ComfyUI's process.")
    hooks_execute: bool = Field(True, description="Keep an exception outside a node from killing the worker thread.")
    hooks_observer: bool = Field(True, description="Watch socket messages for progress, node times and cancels.")
    hooks_signals: bool = Field(
        True,
        description="Mark what runs when the server is asked to stop (SIGTERM, Ctrl-C), so that a planned stop is no death.",
    )
    hooks_api_v2: bool = Field(
        True, description="Serve the Comfy API v2 at `/api/v2`; off: at `/expeditor/api/v2` alone."
    )

    stall_timeout_s: float = Field(
        1800.0,
        ge=0,
        le=604_800,
        description="A run that shows no sign of progress for so long is stopped; its attempt fails as `STALLED`. 0: never.",
    )
    kill_grace_s: float = Field(
        60.0, ge=0, le=86_400, description="How long such a run may take to stop before it counts as stuck."
    )
    exit_on_stall: bool = Field(
        False,
        description="End the process when a run is stuck (exit code 75) or ComfyUI's worker thread has died (76). For servers "
        "that something starts again: systemd, Docker, a Windows service.",
    )

    ordering: Literal["fair", "strict"] = Field(
        "fair",
        description="`fair`: priority with ageing and fair shares. `strict`: priority alone; can starve low ones.",
    )
    ageing_s: float = Field(
        100.0, ge=0, le=86_400, description="Head start of one priority point, in virtual seconds. 10 is most urgent."
    )
    affinity_slack_s: float = Field(
        30.0,
        ge=0,
        le=3_600,
        description="Seconds of work by which a job may be passed over, in all, by jobs whose models are in memory. 0: never. On a "
        "shared queue also how long a parked job that can go on is left to the instance that parked it, at most.",
    )
    weights: dict[str, Annotated[float, Field(gt=0, le=1e6)]] = Field(
        default_factory=dict,
        description="Share of a principal among others, default 1 each, above 0. Environment: as JSON.",
    )

    max_attempts: int = Field(
        3, ge=1, le=1_000, description="Most tries of a job that names no number of its own, the first one included."
    )
    backoff_base_s: float = Field(
        2.0, ge=0, le=86_400, description="Longest wait before the second try of a job; doubles with each further try."
    )
    backoff_max_s: float = Field(300.0, ge=0, le=604_800, description="Longest wait before any further try.")
    retry_levels: dict[Cause, RetryLevel] = Field(
        default_factory=dict[Cause, RetryLevel],
        description="Whether to try again, by cause: `never`, `in_place` (free memory, run again at once) or `later` (after a "
        "back-off). Defaults: [causes](causes.md). Environment: as JSON.",
    )
    cause_rules: dict[str, Cause] = Field(
        default_factory=dict,
        description="What else a node may raise, by cause: globs of the exception's full type name, or of `type: text`; they "
        "win over [ours](causes.md). Environment: as JSON.",
    )
    recovery: Literal["resume", "resume_except_running", "paused"] = Field(
        "resume",
        description="What a start does with the queue it finds. `resume`: goes on; what ran runs again. "
        "`resume_except_running`: what ran fails. `paused`: as `resume`, and the queue is paused.",
    )

    max_priority: int = Field(
        10, ge=1, le=10, description="The most urgent priority that anybody may use (10 is most urgent)."
    )
    priority_ceilings: dict[str, Annotated[int, Field(ge=1, le=10)]] = Field(
        default_factory=dict,
        description="The same for single principals, in place of `max_priority`. For a name that no trusted proxy vouches for "
        "(a `client_id`) it can only be lower. Environment: as JSON.",
    )
    keep_succeeded_s: float = Field(
        30 * DAY_S, ge=0, description="How long jobs that succeeded are kept, from their end on. 0: for ever."
    )
    keep_succeeded_jobs: int = Field(
        100_000, ge=0, description="Most jobs that succeeded are kept; the oldest go first. 0: no limit."
    )
    keep_failed_s: float = Field(
        90 * DAY_S, ge=0, description="How long jobs that failed are kept, from their end on. 0: for ever."
    )
    keep_failed_jobs: int = Field(
        100_000, ge=0, description="Most jobs that failed are kept; the oldest go first. 0: no limit."
    )
    keep_canceled_s: float = Field(
        30 * DAY_S, ge=0, description="How long jobs that were canceled are kept, from their end on. 0: for ever."
    )
    keep_canceled_jobs: int = Field(
        100_000, ge=0, description="Most jobs that were canceled are kept; the oldest go first. 0: no limit."
    )
    keep_expired_s: float = Field(
        30 * DAY_S, ge=0, description="How long jobs that expired are kept, from their end on. 0: for ever."
    )
    keep_expired_jobs: int = Field(
        100_000, ge=0, description="Most jobs that expired are kept; the oldest go first. 0: no limit."
    )
    keep_temp_outputs: bool = Field(
        True,
        description="Keep what jobs leave in ComfyUI's `temp` folder (previews), which it empties at every start, as long as "
        "their jobs.",
    )
    prune_outputs: bool = Field(
        False,
        description="With a job that is no longer kept, remove the files it made, but for those that a kept job names.",
    )
    prune_inputs: bool = Field(
        False,
        description="With a job that is no longer kept, remove the files of ComfyUI's `input` folder that its prompt names and no "
        "other job's does. Files put there by hand or by ComfyUI's page too; not assets, which `asset_keep_s` bounds.",
    )

    max_waiting_jobs: int = Field(
        20_000, ge=0, description="Most jobs that wait at once; more are refused with 429 `QUEUE_FULL`. 0: no limit."
    )
    max_waiting_jobs_per_principal: int = Field(
        0,
        ge=0,
        description="The same for each user that a trusted proxy names. All others (a `client_id` is only a claim) share "
        "one such quota. 0: no limit.",
    )
    max_waiting_bytes: int = Field(
        1_073_741_824,
        ge=0,
        description="Most bytes of waiting jobs (prompt and extra data as stored, which is JSON in ASCII). 0: no limit.",
    )
    ready_below_ratio: float = Field(
        0.9, gt=0, le=1, description="`/expeditor/ready` answers 503 from this share of those two limits on."
    )

    max_body_bytes: int = Field(
        104_857_600, gt=0, description="Largest body of `/prompt` and `/expeditor/submit`, next to ComfyUI's own limit."
    )
    max_nodes: int = Field(5_000, gt=0, description="Most nodes in a prompt.")
    max_depth: int = Field(64, gt=0, le=400, description="Deepest nesting of a value in a prompt.")
    max_string_bytes: int = Field(16_777_216, gt=0, description="Longest string in a prompt.")
    max_faults: int = Field(2_000, gt=0, description="Most faults reported in one answer.")
    numeric_ids_only: bool = Field(False, description="Accept only node ids of ASCII digits.")
    fill_defaults: bool = Field(
        True, description="`/expeditor/submit` fills missing required widgets with their declared defaults."
    )
    allow_nodes: list[str] = Field(
        default_factory=list, description="Globs of node classes that may be used; empty: all. Environment: as JSON."
    )
    deny_nodes: list[str] = Field(
        default_factory=list,
        description="Globs of node classes that may not be used; wins over allow. Environment: as JSON.",
    )

    history_restored: int = Field(
        200,
        ge=0,
        le=10_000,
        description="How many jobs that ended before a start ComfyUI's own history shows after it. 0: none.",
    )
    history_max_bytes: int = Field(
        262_144,
        ge=0,
        le=16_777_216,
        description="Most bytes kept of a job's entry in ComfyUI's history; a larger one has only its files or its error after a restart.",
    )

    principal_from_client_id: bool = Field(
        True, description="A `client_id` names the principal when nothing better does."
    )
    trusted_user_header: str | None = Field(None, description="Header in which a trusted proxy names the user.")
    trusted_proxies: list[str] = Field(
        default_factory=list,
        description="Addresses or networks of proxies whose header is believed. Environment: as JSON.",
    )

    max_message_bytes: int = Field(
        65_536, gt=0, le=65_536, description="Longest message to a node that waits, in bytes of UTF-8."
    )
    parking: bool = Field(
        True,
        description="A prompt of which nothing is left to do but to wait for a person leaves the machine to other jobs until it is "
        "answered. Off: it waits where it is.",
    )
    park_after_s: float = Field(
        1.0, ge=0, le=86_400, description="How long a prompt waits where it is before it is parked."
    )
    park_cache_bytes: int = Field(
        16 * 1024**3,
        ge=0,
        description="Most bytes that are kept, in main memory, of what the finished nodes of parked prompts have made, models "
        "included. A prompt that would be more waits where it is.",
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    log_format: Literal["json", "plain"] = Field("json", description="Shape of a log line.")
    log_file: str | None = Field(None, description="Also write log lines to this file (rotated at 10 MB, 5 kept).")
    access_log: bool = Field(
        True,
        description="One log line per request to the API (pages, files and what is asked every few seconds are left out).",
    )
    gc_freeze: bool = Field(
        True,
        description="Once ComfyUI has loaded everything, take what is in memory then out of Python's garbage "
        "collection: its full passes over a million objects stop every request for half a second.",
    )
    sample_interval_s: float = Field(5.0, ge=0.5, le=3600, description="How often memory and utilisation are sampled.")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, proxies: list[str]) -> list[str]:
        for proxy in proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                raise ValueError(f"{proxy!r} is neither an IP address nor a network") from None
        return proxies

    @field_validator("retry_levels")
    @classmethod
    def _can_be_switched(cls, levels: dict[Cause, RetryLevel]) -> dict[Cause, RetryLevel]:
        return _only(SWITCHABLE, levels, levels)

    @field_validator("cause_rules")
    @classmethod
    def _are_causes_of_runs(cls, rules: dict[str, Cause]) -> dict[str, Cause]:
        return _only(OF_RUNS, rules.values(), rules)


def _only(known: frozenset[Cause], given: Iterable[Cause], value: _T) -> _T:
    wrong = [cause.value for cause in given if cause not in known]
    if wrong:
        names = ", ".join(sorted(cause.value for cause in known))
        raise ValueError(f"{wrong[0]} cannot stand here, only {names}")
    return value
