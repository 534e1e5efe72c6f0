"""The settings of webhooks. A part of ``settings_api``."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from ..events.webhooks.signing import BadSecret, secrets_of
from ..jobs.events import EVENT_TYPES
from ..jobs.webhook_rules import BadUrl, parse_url

DAY_S = 86_400.0
DELAYS_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 43_200, 43_200, 43_200, 43_200)


class WebhookSettings(BaseSettings):
    """See the module's docstring. Frozen and read as ``Settings``."""

    public_url: str | None = Field(
        None,
        description="Address under which clients reach this server: `https://comfy.example.com`. For URLs in webhooks, which are paths "
        "without it, and in answers to requests that come to its host, whatever scheme a proxy uses.",
    )
    webhooks: bool = Field(True, description="Tell events over HTTP, see [webhooks](webhooks.md).")
    webhook_per_job: bool = Field(
        True, description="Clients may name a `webhook` when they submit. Off: it is refused."
    )
    webhook_url: SecretStr | None = Field(
        None, description="Who is told of all jobs whose token has no webhook of its own. Never shown."
    )
    webhook_events: list[str] = Field(
        default_factory=list, description="The types of events it hears; empty: the ends of jobs. Environment: as JSON."
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="What signs webhooks: `whsec_` and the base64 of 24 to 64 bytes; two, separated by a blank, both sign. Without "
        "it one is made and kept in the file `webhook_secret` of the data folder.",
    )
    webhook_allow_http: bool = Field(False, description="Targets may be `http://`; otherwise only `https://`.")
    webhook_allow_networks: list[str] = Field(
        default_factory=list,
        description="Addresses or networks that may be called though they are not of the public internet, at any port: "
        "`127.0.0.0/8`. Environment: as JSON.",
    )
    webhook_ports: list[Annotated[int, Field(ge=1, le=65_535)]] = Field(
        default_factory=lambda: [80, 443, 8080, 8443], description="Ports that may be called. Environment: as JSON."
    )
    webhook_hosts: list[str] = Field(
        default_factory=list, description="Globs of host names that may be called; empty: all. Environment: as JSON."
    )
    webhook_timeout_s: float = Field(15.0, gt=0, le=300, description="How long one try may take.")
    webhook_retry_delays_s: list[Annotated[float, Field(gt=0, le=604_800)]] = Field(
        default_factory=lambda: [float(delay_s) for delay_s in DELAYS_S],
        max_length=49,
        description="Waits after the first, second ... failed try, each a fifth shorter or longer by chance; after the last one it is "
        "given up. Environment: as JSON.",
    )
    keep_deliveries_s: float = Field(
        7 * DAY_S, ge=0, description="How long webhooks that were delivered are kept for inspection. 0: for ever."
    )
    keep_failed_deliveries_s: float = Field(
        30 * DAY_S, ge=0, description="How long webhooks that were given up are kept, to be replayed. 0: for ever."
    )
    keep_deliveries: int = Field(
        100_000, ge=0, description="Most webhooks kept that are over; the oldest go first. 0: no limit."
    )

    @field_validator("webhook_url")
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

    @field_validator("webhook_allow_networks")
    @classmethod
    def _are_networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                raise ValueError(f"{network!r} is neither an IP address nor a network") from None
        return networks

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parsed = parse_url(url)
        except BadUrl as fault:
            raise ValueError(str(fault)) from None
        if "?" in parsed.text:
            raise ValueError("it has no query")
        return url.rstrip("/")


def checked_url(url: SecretStr) -> SecretStr:
    """The URL; ``ValueError`` that does not repeat it."""
    try:
        parse_url(url.get_secret_value())
    except BadUrl as fault:
        raise ValueError(str(fault)) from None
    return url


def checked_secret(secret: SecretStr) -> SecretStr:
    """The secret or secrets; ``ValueError`` that does not repeat them."""
    try:
        secrets_of(secret.get_secret_value())
    except BadSecret as fault:
        raise ValueError(str(fault)) from None
    return secret


def checked_events(events: list[str]) -> list[str]:
    """The types of events; ``ValueError`` for one that there is not."""
    wrong = [event for event in events if event not in EVENT_TYPES]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no event, only {', '.join(sorted(EVENT_TYPES))}")
    return events
