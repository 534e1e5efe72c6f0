"""A pack for tests of answers that never come: a request with the header `X-Test-Hold` is handled to its end, but no byte of
its answer is ever sent. Whoever kills the server then has killed it after the commit and before the answer.
"""

import asyncio

from server import PromptServer

NODE_CLASS_MAPPINGS = {}


async def hold(request, _response):
    """Runs when the answer is ready, before its first byte."""
    if "X-Test-Hold" in request.headers:
        await asyncio.Event().wait()


PromptServer.instance.app.on_response_prepare.append(hold)
