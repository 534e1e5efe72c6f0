"""The settings of an instance among several on one queue. Owns no behaviour."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from ..jobs.instances import is_name, is_pool
from ..jobs.model import DEFAULT_POOL
from ..store.bullmq.address import AddressError, parse

SHARED_SCHEMES = ("redis://", "rediss://", "redis+sentinel://", "rediss+sentinel://", "unix://")
"""How the address of a shared queue begins."""
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*/?")


class ClusterSettings(BaseSettings):
    """Where the queue lives, and who this instance is among those that share it."""

    store: str = Field(
        "sqlite",
        repr=False,  # an address may hold a password
        description="Where the queue lives: `sqlite`, `memory` (forgets everything at the end of the process), or the address of a "
        "Redis or Valkey that several instances share (`redis://`, `rediss://`, `redis+sentinel://host:26379,host2:26379/mymaster/0`, "
        "`unix://`; needs the extra `cluster`): see [cluster](cluster.md).",
    )
    store_namespace: str = Field(
        "expeditor",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Begins the name of every key of a shared queue: queues of different names on one Redis do not meet.",
    )
    instance: str | None = Field(
        None,
        description="This instance's name among those that share a queue; stays the same over restarts. Default: of host name and port.",
    )
    instance_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="Where the other instances reach this one. Default: of its address and port.",
    )
    roles: list[Literal["api", "worker"]] = Field(
        default_factory=lambda: ["api", "worker"],
        min_length=1,
        description="What this instance does on a shared queue: `worker` runs jobs, `api` accepts them. Environment: as JSON.",
    )
    pools: list[str] = Field(
        default_factory=lambda: [DEFAULT_POOL],
        min_length=1,
        description="The pools whose jobs this instance runs; a job names one with `pool`. Environment: as JSON.",
    )
    lease_s: float = Field(
        30.0,
        ge=2,
        le=600,
        description="A job whose instance was not heard of for so long is given to another. Renewed four times within it.",
    )
    results: str = Field(
        "origin",
        description="Where results go when a job ran on another instance than it was submitted to: `origin` (sent there), "
        "`shared` (all have the same output folder) or `s3://bucket/prefix` (by way of a bucket; needs the extra `s3`): see "
        "[results](cluster.md#results-and-input-files).",
    )
    handover_s: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="How long results may take on their way before the job ends without them having arrived.",
    )

    @field_validator("store")
    @classmethod
    def _is_a_store(cls, store: str) -> str:
        if store in ("sqlite", "memory"):
            return store
        if not store.startswith(SHARED_SCHEMES):
            raise ValueError(
                f"must be sqlite, memory or an address that begins with one of {', '.join(SHARED_SCHEMES)}"
            )
        try:
            parse(store)
        except AddressError as error:
            raise ValueError(f"this address cannot be used: {error}") from None
        return store

    @field_validator("instance")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is not None and not is_name(name):
            raise ValueError(
                "must be lower-case letters, digits, dots, dashes and underscores, at most 63, a letter or digit first"
            )
        return name

    @field_validator("pools")
    @classmethod
    def _are_pools(cls, pools: list[str]) -> list[str]:
        for pool in pools:
            if not is_pool(pool):
                raise ValueError(f"{pool!r} is no pool: lower-case letters, digits, dashes, underscores, at most 32")
        return pools

    @field_validator("results")
    @classmethod
    def _is_a_place(cls, results: str) -> str:
        if results in ("origin", "shared") or _BUCKET.fullmatch(results):
            return results
        raise ValueError("must be origin, shared or s3://bucket/prefix")
