"""``locks``: show who holds locks and who waits for whom; end a blocking session."""

from __future__ import annotations

import time
from pathlib import Path

import click

from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.database import open_engine
from turnback.cli.output import Output, confirm, human_ms, reported
from turnback.engine import Engine
from turnback.engine.look.sessions import ServerSession, idle_in_transaction, sessions
from turnback.engine.look.sessions import terminate as end_session
from turnback.engine.session.query import own_statements
from turnback.errors import ConfigurationError
from turnback.wording import counted, one_line

_WATCH_S = 2.0


@click.command(epilog="Example: turnback locks --terminate-idle 5min")
@opt.database
@opt.directory
@click.option("--terminate", type=int, metavar="PID", help="End this session.")
@click.option(
    "--terminate-idle",
    type=types.Duration(),
    help="End sessions idle in a transaction for longer than this; never a run of turnback.",
)
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@opt.yes
@opt.as_json
@reported
def locks(
    *,
    database_url: str | None,
    history_schema: str,
    directory: Path,
    terminate: int | None,
    terminate_idle: float | None,
    watch: bool,
    yes: bool,
    out: Output,
) -> None:
    """Show who holds locks and who waits for whom, as a tree. Reads only.

    Sessions are ended only with --terminate or --terminate-idle, after they are shown and you are
    asked. Without a terminal, --yes is required.
    """
    if watch and (out.as_json or terminate or terminate_idle):
        raise ConfigurationError(
            "--watch cannot be combined with --json or with ending a session", hint="use it alone"
        )
    with open_engine(database_url, directory, history_schema, out) as engine, own_statements():
        while True:
            found = sessions(engine.connection)
            _show(found, out)
            if not watch:
                break
            time.sleep(_WATCH_S)
            click.clear()
        out.document |= {
            "status": "succeeded",
            "sessions": [session.to_dict() for session in found],
            "terminated": [],
        }
        if terminate is not None:
            chosen = [session for session in found if session.pid == terminate]
            if not chosen:
                raise ConfigurationError(
                    f"there is no session {terminate} here that holds or waits for a lock",
                    hint="turnback locks shows those that do",
                )
            _end(engine, chosen, yes, out)
        if terminate_idle is not None:
            _end(engine, idle_in_transaction(found, terminate_idle), yes, out)


def _show(found: list[ServerSession], out: Output) -> None:
    if not found:
        out.result("No session has an open transaction, and none is waiting.")
        return
    by_pid = {session.pid: session for session in found}
    waiting = {pid: [s for s in found if pid in s.waits_for] for pid in by_pid}
    roots = [s for s in found if not any(pid in by_pid for pid in s.waits_for)]
    shown: set[int] = set()
    # A deadlock has no root; the server ends one of its sessions after deadlock_timeout. Until then
    # each is shown on its own.
    for root in [*roots, *found]:
        if root.pid not in shown:
            _tree(root, waiting, 0, shown, out)
    blocked = sum(1 for session in found if session.waits_for)
    out.result(f"{counted(len(found), 'session')}, {blocked} waiting.")


def _tree(
    session: ServerSession,
    waiting: dict[int, list[ServerSession]],
    depth: int,
    shown: set[int],
    out: Output,
) -> None:
    shown.add(session.pid)
    pad = "  " * depth
    arrow = "waits: " if depth else ""
    name = f"{session.user}, {session.application or 'unnamed'}, {session.client}"
    out.result(
        f"{pad}{click.style(f'{arrow}pid {session.pid}', bold=not depth)} ({name}) "
        f"{session.state} for {human_ms(session.in_state_s * 1000)}, in a transaction for "
        f"{human_ms(session.in_transaction_s * 1000)}"
    )
    if session.query:
        out.result(f"{pad}    {one_line(session.query)}")
    if session.wants:
        out.result(f"{pad}    wants {click.style(one_line(session.wants), fg='yellow')}")
    for lock in session.holds[:5]:
        out.result(f"{pad}    holds {one_line(lock)}")
    if len(session.holds) > 5:
        out.result(f"{pad}    holds {len(session.holds) - 5} more")
    for other in waiting.get(session.pid, []):
        if other.pid not in shown:
            _tree(other, waiting, depth + 1, shown, out)


def _end(engine: Engine, chosen: list[ServerSession], yes: bool, out: Output) -> None:
    if not chosen:
        out.result("Nothing to end.")
        return
    what = ", ".join(f"pid {session.pid} ({session.user})" for session in chosen)
    question = f"End {what}? Their open transactions are rolled back."
    confirm(f"end {what}", yes=yes, out=out, question=question)
    for session in chosen:
        if end_session(engine.connection, session.pid):
            out.document["terminated"].append(session.pid)
            out.result(f"  ended pid {session.pid}")
        else:
            out.result(f"  pid {session.pid} had ended already")
