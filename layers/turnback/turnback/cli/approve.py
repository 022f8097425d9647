"""``approve``: show what a run asks and who answered what, and answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from turnback.aws.cloudformation import Stack, open_stack
from turnback.aws.functions import invoke
from turnback.aws.stepfunctions import StateMachine
from turnback.aws.sts import caller
from turnback.cli import options as opt
from turnback.cli import param_types as types
from turnback.cli.output import Output, ask, may_ask, reported
from turnback.cli.watch import find_run
from turnback.errors import ApprovalRefused, ConfigurationError
from turnback.runs.approvals.record import APPROVED, DENIED, LOOK
from turnback.runs.reporting.words import loss_in_words
from turnback.runs.state import RestoreLoss
from turnback.wording import local_clock, visible


@click.command(epilog="Example: turnback approve r-4a7d1e --comment 'talked to the team'")
@click.argument("run", type=types.Given())
@click.option("--deny", is_flag=True, help="Deny: the run ends, whoever approved before.")
@click.option("--comment", default="", help="A comment; kept with the run and its report.")
@click.option("--show", is_flag=True, help="Only show what is asked and who answered what.")
@opt.stack
@opt.yes
@opt.as_json
@reported
def approve(
    *, run: str, deny: bool, comment: str, show: bool, stack: str, yes: bool, out: Output
) -> int:
    """Approve a run that waits for people, or deny it.

    RUN is the run's id, or enough of its beginning. It first shows what is asked, why, and who
    answered what. You answer as the identity of your AWS credentials; nobody can approve a run
    that they started, and a second answer from you changes nothing.

    \b
    Exit codes: 0 your answer counts, 3 it does not: the run is decided already, you started it,
    or you are not an approver.
    """
    deployed = open_stack(stack, reading=True)
    if not deployed.answer_function:
        raise ConfigurationError(
            f"the stack {deployed.name} has no function that takes answers",
            hint="deploy the template of this version of turnback",
        )
    state = _question_of(deployed, run)
    _show(state, out)
    out.document |= {"status": _status(state), **state}
    if show:
        return 0
    wanted = DENIED if deny else APPROVED
    if state["outcome"] is None and not yes and may_ask(out.as_json):
        ask(f"{'Deny' if deny else 'Approve'} it?")
    who = caller()
    order = {
        "run": state["run"],
        "gate": state["gate"],
        "decision": wanted,
        "person": {"arn": who.arn, "user_id": who.user_id},
        "comment": comment,
    }
    answered = invoke(deployed.answer_function, order)
    out.document |= {"status": _status(answered), **answered}
    if not answered["recorded"]:
        out.note(f"you have {wanted} this before")
    out.result(answered["told"])
    return 0


def _question_of(deployed: Stack, run: str) -> dict[str, Any]:
    """The state of the run's question; the run may be given by its beginning."""
    try:
        return invoke(deployed.answer_function, {"run": run, "decision": LOOK})
    except ApprovalRefused:
        # Second, because an approver may not be allowed to list the runs.
        whole = find_run(StateMachine(deployed.machine_arn), run, deployed)
        if whole == run:
            raise
        return invoke(deployed.answer_function, {"run": whole, "decision": LOOK})


def _status(state: Mapping[str, Any]) -> str:
    outcome = state["outcome"]
    if outcome is None:
        return "waits"
    return APPROVED if outcome["decision"] == APPROVED else "refused"


def _show(state: Mapping[str, Any], out: Output) -> None:
    question = state["question"]
    what = "restore of the database" if state["gate"] == "restore" else "release"
    title = f"{question['target']} {question['release']}: {what}"
    out.result(click.style(title, bold=True))
    out.result(f"  run         {state['run']}, started by {question['trigger']}")
    out.result(f"  needs       {question['persons']} of the approvers")
    out.result(f"  until       {local_clock(question['expires_at'])}")
    for reason in question["reasons"]:
        out.result(f"  because     {reason}")
    if state.get("sql"):
        out.result(f"\n{visible(state['sql'])}")
    if state["gate"] == "restore":
        loss = RestoreLoss.from_state(question["loss"]) if question["loss"] else None
        lost = loss_in_words(loss)
        out.result(f"  {click.style('loses', fg='yellow')}       {lost}")
    for answer in state["answers"]:
        word = f": {answer['comment']}" if answer["comment"] else ""
        at = local_clock(answer["at"])
        said = f"{answer['person']} {answer['decision']} at {at} by {answer['way']}"
        out.result(f"  said        {said}{word}")
    out.result(state["told"])
