"""A pack for tests that makes itself the owner of ComfyUI's queue: it replaces the queue object by one of its own class.

Writes one line to the log for every prompt that passes, so that a test can see that it is the owner.
"""

import logging

import execution
from server import PromptServer

NODE_CLASS_MAPPINGS = {}

log = logging.getLogger("replaces_queue")


class AnotherQueue(execution.PromptQueue):
    """Core's queue under another name."""

    def put(self, *args, **kwargs):
        """Core's `put`, and a line in the log."""
        log.info("replaces_queue saw a prompt")
        return super().put(*args, **kwargs)


PromptServer.instance.prompt_queue = AnotherQueue(PromptServer.instance)
