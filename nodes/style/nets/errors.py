"""What is wrong with a model file, in words for the person who put it there."""

from __future__ import annotations


class BadModelFile(ValueError):
    """The file cannot be used, and trying again will not help; the message names the file and what was expected."""
