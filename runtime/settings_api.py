"""The settings for API clients: tokens, held requests, uploads, streams, webhooks. ``settings`` has the rest and the rules of all."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from ..store.bullmq.address import redacted as redacted_address
from .settings_cluster import ClusterSettings
from .settings_webhooks import WebhookSettings, checked_events, checked_secret, checked_url

TOKEN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
SHORTEST_SECRET = 16

PriorityBound = Annotated[int, Field(ge=1, le=10)]


class TokenSettings(BaseModel):
    """One token. Exactly one of ``sha256`` and ``secret``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    secret: SecretStr | None = None
    priority: PriorityBound | None = None
    max_priority: PriorityBound | None = None
    admin: bool = False
    webhook: SecretStr | None = None
    webhook_events: list[str] = Field(default_factory=list)
    webhook_secret: SecretStr | None = None

    @field_validator("webhook")
    @classmethod
    def _is_webhook(cls, url: SecretStr | None) -> SecretStr | None:
        return None if url is None else checked_url(url)

    @field_validator("webhook_events")
    @classmethod
    def _are_events(cls, events: list[str]) -> list[str]:
        return checked_events(events)

    @field_validator("webhook_secret")
    @classmethod
    def _is_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        return None if secret is None else checked_secret(secret)

    @model_validator(mode="after")
    def _has_one_secret(self) -> TokenSettings:
        if (self.sha256 is None) == (self.secret is None):
            raise ValueError("a token has either sha256 or secret")
        if self.secret is not None and len(self.secret.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(f"a secret has at least {SHORTEST_SECRET} characters")
        return self

    @property
    def digest(self) -> str:
        """The SHA-256 of the token, hexadecimal and small."""
        if self.secret is None:
            return (self.sha256 or "").lower()
        return hashlib.sha256(self.secret.get_secret_value().encode("utf-8")).hexdigest()


class ApiSettings(WebhookSettings, ClusterSettings):
    """See the module's docstring. Frozen and read as ``Settings``."""

    tokens: dict[str, TokenSettings] = Field(
        default_factory=dict,
        description="[Tokens](tokens.md) by name: who shows one is that principal. Each has `sha256` (or `secret`), and may have "
        "`priority` (of jobs that name none), `max_priority`, `admin`, `webhook`, `webhook_events` and `webhook_secret`. "
        "Environment: as JSON.",
    )
    require_token: bool = Field(
        False, description="Our own routes answer 401 to a request without a token; ComfyUI's routes stay open."
    )

    v2_held_poll_s: float = Field(
        1.0,
        ge=0,
        le=10,
        description="How long a poll by a job's `urls.self` of the Comfy API v2 is held until the job's status changes. 0: not "
        "at all. Official clients wait up to 5 s between polls, so a held one tells them of the end sooner.",
    )
    max_batch_jobs: int = Field(1_000, ge=1, le=100_000, description="Most jobs of one [batch](batches.md).")
    max_batch_bytes: int = Field(
        268_435_456,
        gt=0,
        description="Most bytes that the prompts and the extra data of one batch have together, as JSON in ASCII.",
    )
    asset_max_bytes: int = Field(
        1_073_741_824,
        gt=0,
        description="Largest upload of an asset; it goes to the disk as it comes and needs no memory.",
    )
    asset_idle_s: float = Field(
        60.0, gt=0, le=3600, description="An upload of an asset that sends nothing for so long is given up."
    )
    asset_keep_s: float = Field(
        0.0,
        ge=0,
        description="How long an uploaded asset that names no end of its own is kept after its last use; never deleted while an "
        "unfinished job needs it. 0: for ever.",
    )
    max_wait_s: float = Field(
        300.0,
        ge=0,
        le=86_400,
        description="Longest time for which a request may ask to be held until its job has ended (`?wait_s=`).",
    )

    max_upload_files: int = Field(
        32, ge=0, le=200, description="Most input files that one multipart `/expeditor/submit` may bring. 0: none."
    )
    max_upload_bytes: int = Field(
        1_073_741_824, ge=0, description="Most bytes of those files together; they are streamed to disk."
    )
    prune_uploads: bool = Field(
        True,
        description="Remove files that came with a submit from ComfyUI's `input` folder once no kept job names them any more.",
    )
    event_streams_max: int = Field(2_000, ge=0, le=100_000, description="How many event streams may be open at once.")
    stream_heartbeat_s: float = Field(
        15.0,
        gt=0,
        le=3600,
        description="After how much silence an event stream sends a comment, so that proxies keep it open.",
    )
    stream_buffer: int = Field(
        256,
        ge=1,
        le=100_000,
        description="How many events are held for one stream; beyond that it reads them from the store.",
    )
    stream_patience_s: float = Field(
        30.0, gt=0, le=3600, description="How long a stream's reader may take nothing before it is cut off."
    )

    @field_validator("tokens")
    @classmethod
    def _have_names(cls, tokens: dict[str, TokenSettings]) -> dict[str, TokenSettings]:
        for name in tokens:
            if not TOKEN_NAME.fullmatch(name):
                raise ValueError("a token's name is 1 to 64 letters, digits, dots, dashes, @ or underscores")
        digests = [token.digest for token in tokens.values()]
        if len(set(digests)) < len(digests):
            raise ValueError("two tokens have the same secret")
        return tokens

    @model_validator(mode="after")
    def _can_be_entered(self) -> ApiSettings:
        if self.require_token and not self.tokens:
            raise ValueError("require_token needs tokens, or nobody could enter")
        return self

    def redacted(self) -> dict[str, Any]:
        """Values that differ from their defaults, for the log at start, without what is secret."""
        values = self.model_dump(exclude_defaults=True, mode="json")
        if "tokens" in values:
            values["tokens"] = sorted(values["tokens"])
        if "store" in values:
            values["store"] = redacted_address(values["store"])
        return values
