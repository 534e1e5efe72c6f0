"""Everything that can go wrong for a client, one class each, with the exit code that the command line ends with."""

from __future__ import annotations

from dataclasses import dataclass

DONE = 0
ENDED_BADLY = 1
WRONG_USE = 2
REFUSED = 3
UNREACHABLE = 4
TOO_BUSY = 5
NOT_HERE = 6
INTERRUPTED = 130

EXIT_CODES: dict[int, str] = {
    DONE: "all is well",
    ENDED_BADLY: "a job failed, was canceled or expired; or `doctor` found something that must be mended",
    WRONG_USE: "the command line, the workflow file or the state file is wrong; nothing was sent",
    REFUSED: "the server refused the request, for example a faulty workflow or an unknown job",
    UNREACHABLE: "the server gave no answer for as long as `--patience`",
    TOO_BUSY: "the server was full or not ready (429, 503) for as long as `--patience`",
    NOT_HERE: "this server cannot do that: it is a ComfyUI without Expeditor, or an older Expeditor",
    INTERRUPTED: "Ctrl-C; jobs that were accepted go on",
}


class ClientError(Exception):
    """What the client could not do. ``str`` is one or more sentences for a person."""

    exit_code = ENDED_BADLY
    code = "FAILED"


class BadInput(ClientError):
    """Something of the caller's is wrong: a file, an option, a sweep. Nothing was sent."""

    exit_code = WRONG_USE
    code = "BAD_INPUT"


class Unreachable(ClientError):
    """No answer, after all tries."""

    exit_code = UNREACHABLE
    code = "UNREACHABLE"


class NotHere(ClientError):
    """The server lacks what was asked for; asking again does not help."""

    exit_code = NOT_HERE
    code = "NOT_ON_THIS_SERVER"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a refused request: the place in what was sent (a JSON pointer), what is wrong, and a hint or ``""``."""

    pointer: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.pointer}: {self.message} {self.hint}".rstrip()


class Refused(ClientError):
    """The server's no: ``status``, its ``code`` and every fault. Final, unless it is ``Busy``."""

    exit_code = REFUSED

    def __init__(self, status: int, code: str, message: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.faults = faults

    def __str__(self) -> str:
        lines = [f"refused, {self.status} {self.code}: {self.args[0]}"]
        said = {self.args[0]} if len(self.faults) == 1 and not self.faults[0].hint else set[str]()
        return "\n".join([*lines, *(f"  {fault}" for fault in self.faults if fault.message not in said)])


class Busy(Refused):
    """429 or 503: the same request may be sent again after ``retry_after_s``."""

    exit_code = TOO_BUSY

    def __init__(self, status: int, code: str, message: str, retry_after_s: float) -> None:
        super().__init__(status, code, message)
        self.retry_after_s = retry_after_s
