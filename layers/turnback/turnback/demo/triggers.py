"""How the demo starts its releases: a stage of a pipeline, and the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path

from turnback.demo.codepipeline import JobResult, calling, put_source, repository
from turnback.demo.environment import STACK, Environment
from turnback.demo.subscribers import NAME, SLACK_ID
from turnback.errors import AwsError, CheckFailed
from turnback.local.scratch import MARK
from turnback.runs.approvals.slack import sign

PIPELINE = "learning-database"
# CodePipeline polls about twice a minute.
POLL_SECONDS = 0.2
COMMAND = "from turnback.cli.main import main; main()"
# What a command prints of an error, and of a restore that has ended.
_ESSENTIAL = re.compile("error: |- |  hint: |Restored in ")
_RUN = re.compile(r"^run r-[0-9a-f]+: ")
_WORDS = {"continue": "in progress", "success": "succeeded", "failure": "failed"}


def pipeline_stage(
    environment: Environment, name: str, mode: str, migrations: Path, release: str
) -> JobResult:
    """Play one stage of a pipeline, and print what a person who looks at it sees.

    Where the run waits for an approval, the approver gives it.

    Args:
        environment: where.
        name: the stage's name.
        mode: ``migrate`` or ``rehearse``.
        migrations: the folder in the source.
        release: the release number.

    Returns:
        The last result.

    Raises:
        AwsError: the function does not answer.
    """
    source = put_source(environment.aws, repository(migrations))
    parameters = {
        "mode": mode,
        "path": "migrations",
        "release": release,
        "pipeline": PIPELINE,
        "execution": str(uuid.uuid4()),
    }
    invoke = calling(environment.aws, environment.outputs["OnPipelineFunctionName"])
    environment.transcript.say(f"the stage {name}:")
    shown = ""
    approved: set[str] = set()
    try:
        for result in environment.pipeline.action(invoke, source, parameters, poll_s=POLL_SECONDS):
            if result.text != shown:
                _show(environment, result, first=not shown)
            shown = result.text
            for gate, sign_of in (("release", "an approval"), ("restore", "the approval of a")):
                if f"waiting for {sign_of}" in result.text and gate not in approved:
                    approved.add(gate)
                    _approve_in_slack(environment) if gate == "release" else _approve_by_mail(
                        environment
                    )
    except (AwsError, CheckFailed):
        environment.print_logs()
        raise
    return result


def command(environment: Environment, *arguments: str) -> int:
    """Run a turnback command, and return its exit code; its errors and its result are shown."""
    shown = (Path(part).name if os.sep in part else part for part in arguments)
    environment.transcript.say(f"$ turnback {' '.join(shown)}")
    variables = {
        **environment.aws.variables(),
        "TURNBACK_STACK": STACK,
        # Neither the user's profiles nor their proxy.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TMPDIR": str(environment.folder),
        MARK: str(environment.folder),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    try:
        for line in process.stdout:
            said = line.rstrip("\n")
            environment.transcript.quote([said], [said] if _ESSENTIAL.match(said) else ())
        return process.wait()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _show(environment: Environment, result: JobResult, *, first: bool) -> None:
    # Each summary begins with the run's id; printed once, it is easier to read.
    text = result.text if first else _RUN.sub("", result.text)
    percent = f" ({result.percent} %)" if result.kind == "continue" and result.percent else ""
    head, *rest = text.splitlines() or [""]
    lines = [f"{_WORDS[result.kind]:<11}  {head}{percent}", *(f"{'':<13}{line}" for line in rest)]
    if result.variables:
        lines.append(f"{'':<13}with the variables")
    lines += [f"{'':<15}{name} = {value}" for name, value in result.variables.items()]
    ended = result.kind != "continue"
    environment.transcript.quote(lines, lines[: 1 + len(rest)] if ended else ())


def _approve_in_slack(environment: Environment) -> None:
    """Press the button in Slack, which posts a signed request to the function's address."""
    body = environment.chat.await_button("approve", SLACK_ID)
    now = str(int(time.time()))
    signature = sign(environment.signing_secret, now, body)
    headers = {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": signature}
    environment.approver.press(environment.outputs["AnswerUrl"], body, headers)
    environment.transcript.say(f"{NAME} presses Approve in Slack")


def _approve_by_mail(environment: Environment) -> None:
    """Follow the link in the mail to a page that has two buttons."""
    mail = environment.approver.next_mail("the restore from its snapshot")
    environment.transcript.say(f"{NAME} has received a mail:")
    # The link contains a signed token that nobody reads.
    lines = [
        f"{line[:72]}…" if line.startswith("https://") else line
        for line in mail.strip().splitlines()
    ]
    essential = [line for line in lines if " waits: " in line or " loses " in line]
    environment.transcript.quote(lines, essential)
    said = environment.approver.approve(mail)
    environment.transcript.say(f"{NAME} follows the link and says yes: {said}")
