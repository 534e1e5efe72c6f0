"""A ComfyUI node pack for Expeditor's tests and benchmarks: nodes that wait, fail and misbehave on purpose.

Never shipped to a user and never needed by Expeditor itself: `RealComfyUI(packs=[...])` links it beside the pack under
test. Every node is plain V1, runs on the CPU, and is never taken from ComfyUI's cache unless it says so. What a node
waits for is a file in ComfyUI's input folder or a length of time that the test chose; both end at an interrupt.
"""

from __future__ import annotations

from .counting import ExpeditorTestCounts, ExpeditorTestExpands
from .failing import (
    ExpeditorTestEndsWorker,
    ExpeditorTestExits,
    ExpeditorTestOutOfMemory,
    ExpeditorTestRaises,
    ExpeditorTestRaisesSystemExit,
)
from .lone import NODES as LONE
from .models import ExpeditorTestLoadModel, ExpeditorTestUseModel
from .odd import ExpeditorTestUnserialisableUI
from .waiting import ExpeditorTestGate, ExpeditorTestHangs, ExpeditorTestSleepy

NODE_CLASS_MAPPINGS = {
    node.__name__: node
    for node in (
        ExpeditorTestCounts,
        ExpeditorTestEndsWorker,
        ExpeditorTestExits,
        ExpeditorTestExpands,
        ExpeditorTestGate,
        ExpeditorTestHangs,
        ExpeditorTestLoadModel,
        ExpeditorTestOutOfMemory,
        ExpeditorTestRaises,
        ExpeditorTestRaisesSystemExit,
        ExpeditorTestSleepy,
        ExpeditorTestUnserialisableUI,
        ExpeditorTestUseModel,
        *LONE,
    )
}
