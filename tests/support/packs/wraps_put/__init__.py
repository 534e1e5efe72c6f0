"""A pack for tests that does what many published queue packs do: it puts its own `put` on ComfyUI's queue object.

Writes one line to the log for every prompt that passes, so that a test can see that it is still in the way.
"""

import logging

from server import PromptServer

NODE_CLASS_MAPPINGS = {}

log = logging.getLogger("wraps_put")
queue = PromptServer.instance.prompt_queue
core_put = queue.put


def put(*args, **kwargs):
    """Core's `put`, and a line in the log."""
    log.info("wraps_put saw a prompt")
    return core_put(*args, **kwargs)


queue.put = put
