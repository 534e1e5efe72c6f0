"""Whether an instance can run a job, by what both say of themselves. Pure.

A node class that is not there is missing for certain. Of a model that is only told by how prompts name files: one counts as missing where
another instance has it and this one has not; one that nobody lists may be anything, and whoever runs the job finds out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .instances import Capabilities


def missing(
    own: Capabilities, others: Iterable[Capabilities], node_classes: frozenset[str], models: frozenset[str]
) -> frozenset[str]:
    """What of these an instance lacks that can do ``own``; empty: the job runs there."""
    absent = models - own.models
    elsewhere = frozenset(name for other in others for name in absent & other.models) if absent else absent
    return (node_classes - own.node_classes) | elsewhere


def lacking(
    known: Mapping[str, Capabilities], node_classes: frozenset[str], models: frozenset[str]
) -> dict[str, frozenset[str]]:
    """By instance, what it lacks; those that can run the job have nothing."""
    return {
        name: missing(own, (each for other, each in known.items() if other != name), node_classes, models)
        for name, own in known.items()
    }
