"""The options that several commands share, each with its help in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8188"

ServerUrl = Annotated[
    str,
    typer.Option("--server", "-s", envvar="EXPEDITOR_URL", help="Address of the ComfyUI to talk to.", metavar="URL"),
]
Token = Annotated[
    str,
    typer.Option(
        "--token", envvar="EXPEDITOR_TOKEN", help="Bearer token, where the server wants one.", metavar="TOKEN"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON value on standard output; messages go to standard error.")]
Patience = Annotated[
    float,
    typer.Option(
        "--patience", min=0, help="Seconds to go on asking a server that is away, full or not ready.", metavar="S"
    ),
]
JobId = Annotated[str, typer.Argument(help="The job's id.", metavar="JOB")]
JobIds = Annotated[list[str], typer.Argument(help="Ids of jobs.", metavar="JOB...")]
WorkflowFile = Annotated[
    str, typer.Argument(help="A workflow in API format; - for standard input.", metavar="WORKFLOW")
]
Priority = Annotated[int | None, typer.Option("--priority", "-p", min=1, max=10, help="1 to 10, 10 is most urgent.")]
Front = Annotated[bool, typer.Option("--front", help="Before everything that waits.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set an input, for example 3.seed=5. May be repeated.", metavar="NODE.INPUT=VALUE"),
]
Files = Annotated[
    list[str] | None,
    typer.Option("--file", help="Upload a file and set an input to it. May be repeated.", metavar="NODE.INPUT=PATH"),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", help="A label (metadata) of the job. May be repeated.", metavar="KEY=VALUE"),
]
ClientId = Annotated[
    str | None, typer.Option("--client-id", help="Whom the job counts for; the server decides if it believes that.")
]
MaxAttempts = Annotated[
    int | None, typer.Option("--max-attempts", min=1, max=20, help="How often it is tried at most.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for what the jobs make.", metavar="FOLDER")]
NotBefore = Annotated[
    str | None, typer.Option("--not-before", help="Not earlier: RFC 3339 with its zone.", metavar="TIME")
]
ExpiresIn = Annotated[
    float | None, typer.Option("--expires-in", min=0, help="Give up if not started after so long.", metavar="S")
]
Key = Annotated[
    str | None, typer.Option("--key", help="Idempotency key: the same again is the same job.", metavar="UUID")
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end.")]
Watch = Annotated[bool, typer.Option("--watch", help="Wait, and tell what happens.")]
SaveIn = Annotated[
    Path | None, typer.Option("--out", "-o", help="Wait, and save what it makes here.", metavar="FOLDER")
]
Check = Annotated[bool, typer.Option("--check", help="Have it checked only: nothing is queued.")]
