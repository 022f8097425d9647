"""``approve``: what a run asks of people, who said what, and one's own answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from turnback.cli import options as opt
from turnback.cli.output import Output, ask, may_ask, reported
from turnback.cli.stack import Stack, open_stack, stack_option
from turnback.errors import ApprovalRefused, ConfigurationError
from turnback.runs.approvals.record import APPROVED, DENIED, LOOK
from turnback.runs.summary import loss_in_words


@click.command(epilog="Example: turnback approve r-4a7d1e --comment 'talked to the team'")
@click.argument("run", type=opt.Given())
@click.option("--deny", is_flag=True, help="Say no: the run ends, whoever said yes before.")
@click.option("--comment", default="", help="A word with it; kept with the run and its report.")
@click.option("--show", is_flag=True, help="Only show what is asked and who said what.")
@stack_option
@opt.yes
@opt.as_json
@reported
def approve(
    *, run: str, deny: bool, comment: str, show: bool, stack: str, yes: bool, out: Output
) -> int:
    """Approve a run that waits for people, or deny it.

    RUN is the run's id, or enough of its beginning. What is asked, why, and who said what is shown
    first. You answer as whoever your AWS credentials say you are; nobody decides on a run that
    they triggered, and a second answer of yours counts no more than the first.

    \b
    Exit codes: 0 your answer counts, 3 it does not: the run is decided already, you triggered it,
    or you are none of the approvers.
    """
    deployed = open_stack(stack, reading=True)
    if not deployed.answer_function:
        raise ConfigurationError(
            f"the stack {deployed.name} has no function that takes answers",
            hint="deploy the template of this version of turnback",
        )
    standing = _look(deployed, run)
    _show(standing, out)
    out.document |= {"status": _status(standing), **standing}
    if show:
        return 0
    wanted = DENIED if deny else APPROVED
    if standing["outcome"] is None and not yes and may_ask(out.as_json):
        ask(f"{'Deny' if deny else 'Approve'} it?")
    from turnback.aws.invocation import invoke
    from turnback.aws.sts import caller

    who = caller()
    order = {
        "run": standing["run"],
        "gate": standing["gate"],
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


def _look(deployed: Stack, run: str) -> dict[str, Any]:
    """How the run's question stands; the run may be named by its beginning."""
    from turnback.aws.invocation import invoke

    try:
        return invoke(deployed.answer_function, {"run": run, "decision": LOOK})
    except ApprovalRefused:
        # Whoever may answer need not be allowed to list the runs, so this comes second.
        from turnback.aws.stepfunctions import StateMachine
        from turnback.cli.watch import find_run

        whole = find_run(StateMachine(deployed.machine_arn), run, deployed)
        if whole == run:
            raise
        return invoke(deployed.answer_function, {"run": whole, "decision": LOOK})


def _status(standing: Mapping[str, Any]) -> str:
    outcome = standing["outcome"]
    if outcome is None:
        return "waits"
    return APPROVED if outcome["decision"] == APPROVED else "refused"


def _show(standing: Mapping[str, Any], out: Output) -> None:
    question = standing["question"]
    what = "restore of the database" if standing["gate"] == "restore" else "release"
    title = f"{question['target']} {question['release']}: {what}"
    out.result(click.style(title, bold=True))
    out.result(f"  run         {standing['run']}, started by {question['trigger']}")
    out.result(f"  needs       {question['persons']} of the approvers")
    out.result(f"  until       {question['expires_at']}")
    for reason in question["reasons"]:
        out.result(f"  because     {reason}")
    if standing["gate"] == "restore":
        lost = loss_in_words(question["loss"])
        out.result(f"  {click.style('loses', fg='yellow')}       {lost}")
    for answer in standing["answers"]:
        word = f": {answer['comment']}" if answer["comment"] else ""
        said = f"{answer['person']} {answer['decision']} at {answer['at']} by {answer['way']}"
        out.result(f"  said        {said}{word}")
    out.result(standing["told"])
