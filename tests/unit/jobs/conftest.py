"""Property tests judge what is right, never how fast this machine is just now."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("expeditor", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("expeditor")
