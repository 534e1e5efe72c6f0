"""All metrics and the one log formatter."""
