"""The command line of dev.py: what may be asked for, and how a failure is told.

Owns parsing and the exit code. The work is in `serve` and `suite`.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path

from .cache import Cache
from .console import SetupError, say
from .serve import ServeOptions, serve
from .several import INSTANCES_MAX, serve_several
from .suite import LAYERS, Suite

CHECKOUT = Path(__file__).resolve().parent.parent
SETUP_FAILED = 2
INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """The exit code of one call; every foreseeable failure is one message without a traceback."""
    own, extra = split_extra(arguments)
    options = parser().parse_args(own)
    try:
        return _serve(options, extra) if options.command == "serve" else _test(options, extra)
    except SetupError as fault:
        sys.stdout.flush()
        sys.stderr.write(f"\ndev.py: {fault}\n")
        return SETUP_FAILED
    except OSError as fault:
        if fault.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        sys.stderr.write(
            f"\ndev.py: the disk is full ({fault.filename}); EXPEDITOR_CACHE_DIR can name another folder.\n"
        )
        return SETUP_FAILED
    except KeyboardInterrupt:
        say("\ninterrupted; the next run goes on where this one stopped")
        return INTERRUPTED


def split_extra(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before the first `--` is ours, the rest is passed on."""
    words = list(arguments)
    cut = words.index("--") if "--" in words else len(words)
    return words[:cut], words[cut + 1 :]


def parser() -> argparse.ArgumentParser:
    """The two commands and their options."""
    top = argparse.ArgumentParser(prog="dev.py", description="Run or test Expeditor in a real ComfyUI of its own.")
    commands = top.add_subparsers(dest="command", required=True, metavar="serve | test")
    serving = commands.add_parser(
        "serve",
        help="a ComfyUI with this checkout, in the foreground",
        epilog="What follows -- is passed to ComfyUI, e.g. -- --cpu --verbose DEBUG",
    )
    serving.add_argument("--port", type=_port, default=8188, help="default 8188")
    serving.add_argument("--listen", default="127.0.0.1", help="address to listen on, default 127.0.0.1")
    serving.add_argument(
        "--data", type=Path, help="folder of ComfyUI's user, input, output, models; default: in the cache"
    )
    serving.add_argument(
        "--instances", type=_instances, default=1, metavar="N", help="ComfyUIs on one queue, default 1"
    )
    serving.add_argument(
        "--redis", metavar="URL", help="where several share their queue (or EXPEDITOR_STORE); default: one of its own"
    )
    testing = commands.add_parser(
        "test",
        help="the test suite",
        epilog="What follows -- is passed to pytest, e.g. -- -k cancel",
    )
    testing.add_argument("layer", nargs="?", choices=LAYERS, default="all", help="default all")
    testing.add_argument("--full", action="store_true", help="also what takes minutes")
    for command in (serving, testing):
        command.add_argument("--comfyui", metavar="DIR", help="a ComfyUI of your own (or COMFYUI_DIR)")
    return top


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1 to 65535)")
    return number


def _instances(text: str) -> int:
    number = int(text)
    if not 1 <= number <= INSTANCES_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not a number of instances (1 to {INSTANCES_MAX})")
    return number


def _serve(options: argparse.Namespace, extra: list[str]) -> int:
    wanted = ServeOptions(
        port=options.port,
        listen=options.listen,
        data=options.data,
        comfyui=options.comfyui,
        extra=extra,
        instances=options.instances,
        redis=options.redis,
    )
    several = wanted.instances > 1 or wanted.redis is not None
    return (serve_several if several else serve)(wanted, Cache.of_user(), CHECKOUT)


def _test(options: argparse.Namespace, extra: list[str]) -> int:
    suite = Suite(Cache.of_user(), CHECKOUT, options.comfyui, options.full, extra)
    return suite.run(options.layer)
