"""``expeditor cancel``, ``retry``, ``priority``, ``hold``, ``release``; ``pause``, ``resume``, ``drain``: changing jobs and the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from ..api import Expeditor
from ..connect import with_expeditor
from ..faults import DONE, BadInput, Busy, Refused
from ..options import JobIds
from ..records import Job, JsonObject
from ..session import Session, command
from ..show import job_line, queue_lines

SomeJobs = Annotated[
    list[str] | None, typer.Argument(help="Ids of jobs; or choose by the options.", metavar="[JOB...]")
]
ByStatus = Annotated[str | None, typer.Option("--status", help="All with these statuses, with commas.")]
ByCause = Annotated[str | None, typer.Option("--cause", help="All that ended for these causes, with commas.")]
ByPrincipal = Annotated[str | None, typer.Option("--principal", help="All of this principal.")]
All = Annotated[bool, typer.Option("--all", help="All.")]


@command()
def cancel(
    session: Session,
    job_ids: SomeJobs = None,
    status: ByStatus = None,
    principal: ByPrincipal = None,
    everything: All = False,
) -> None:
    """Cancel jobs, whether they wait or run. Harmless for what has ended."""
    there = session.connect()
    chosen = _chosen(job_ids, {"status": _listed(status), "principal": principal}, everything=everything)
    if chosen is None:
        _each(session, job_ids or [], there.cancel)
    else:
        _report(session, with_expeditor(there, "canceling by a filter").cancel_many(**chosen), "canceled")


@command()
def retry(
    session: Session,
    job_ids: SomeJobs = None,
    status: ByStatus = None,
    cause: ByCause = None,
    principal: ByPrincipal = None,
    everything: All = False,
) -> None:
    """Run jobs again that ended badly, under their id. --all: everything that failed."""
    there = with_expeditor(session.connect(), "retrying a job")
    wanted = {"status": _listed(status), "cause": _listed(cause), "principal": principal}
    chosen = _chosen(job_ids, wanted, everything=everything)
    if chosen is None:
        _each(session, job_ids or [], there.retry)
    else:
        _report(session, there.retry_many(**chosen), "retried")


@command()
def priority(
    session: Session,
    job_ids: JobIds,
    to: Annotated[int | None, typer.Option("--to", min=1, max=10, help="1 to 10, 10 is most urgent.")] = None,
    front: Annotated[bool, typer.Option("--front", help="Before everything that waits.")] = False,
) -> None:
    """Give waiting jobs another place."""
    if (to is None) == (not front):
        raise BadInput("Say either --to N or --front.")
    there = with_expeditor(session.connect(), "a priority")
    _each(session, job_ids, lambda job_id: there.priority(job_id, to))


@command()
def hold(
    session: Session,
    job_ids: JobIds,
) -> None:
    """Keep waiting jobs back."""
    _each(session, job_ids, with_expeditor(session.connect(), "holding a job").hold)


@command()
def release(
    session: Session,
    job_ids: JobIds,
) -> None:
    """Let jobs go on that were held."""
    _each(session, job_ids, with_expeditor(session.connect(), "releasing a job").release)


@command()
def pause(session: Session) -> None:
    """Start no more jobs; they are still taken. Survives a restart; ends with resume."""
    _steer(session, "pause")


@command()
def resume(session: Session) -> None:
    """End a pause or a drain."""
    _steer(session, "resume")


@command()
def drain(session: Session) -> None:
    """Take no more jobs, start none, finish what runs: before a restart."""
    _steer(session, "drain")


def _steer(session: Session, verb: str) -> None:
    there: Expeditor = with_expeditor(session.connect(), verb)
    told = there.steer(verb)
    if session.as_json:
        session.emit(told)
    for line in queue_lines(told):
        session.show(line)


def _each(session: Session, job_ids: list[str], act: Callable[[str], Job]) -> None:
    """Do it to each; what is refused does not stop the others, and decides the exit code."""
    if not job_ids:
        raise BadInput("Name jobs, or choose them with an option.")
    code = DONE
    done: list[JsonObject] = []
    for job_id in job_ids:
        try:
            found = act(job_id)
        except Busy:
            raise
        except Refused as refused:
            code = refused.exit_code
            session.say(f"{job_id}  {refused}")
            done.append({"id": job_id, "error": {"code": refused.code, "message": str(refused.args[0])}})
        else:
            session.show(job_line(found))
            done.append(found.wire)
    if session.as_json:
        session.emit(done)
    if code:
        raise typer.Exit(code)


def _report(session: Session, report: JsonObject, changed: str) -> None:
    if session.as_json:
        session.emit(report)
    session.show(f"{report[changed]} {changed}, {report['unchanged']} unchanged, {report['refused']} refused")
    for each in report["refused_jobs"]:
        session.say(f"{each['id']}  {each['code']}: {each['message']}")
    if report["more"]:
        session.say("There may be others: call again.")


def _chosen(job_ids: list[str] | None, wanted: JsonObject, *, everything: bool) -> JsonObject | None:
    """The filter of a bulk call, or None when single jobs are named."""
    filters: JsonObject = {name: value for name, value in wanted.items() if value}
    if job_ids and (filters or everything):
        raise BadInput("Name jobs, or choose them with options; not both.")
    if everything:
        filters["all"] = True
    return filters or None


def _listed(text: str | None) -> list[Any] | None:
    return text.split(",") if text else None
