"""Webhooks: events told over HTTP to whoever wants to hear them, at least once."""
