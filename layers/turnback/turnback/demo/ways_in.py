"""The ways into a release that the demo takes: a stage of a pipeline, and the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from turnback.demo.stage import STACK, Stage
from turnback.errors import AwsError, CheckFailed

if TYPE_CHECKING:
    from turnback.demo.pipeline import Answer

PIPELINE = "learning-database"
# CodePipeline asks about twice a minute.
ASK_SECONDS = 0.2
COMMAND = "from turnback.cli.main import main; main()"
_RUN = re.compile(r"^run r-[0-9a-f]+: ")
_WORDS = {"continue": "in progress", "success": "succeeded", "failure": "failed"}


def pipeline_stage(stage: Stage, name: str, mode: str, migrations: Path, release: str) -> Answer:
    """Play one stage of a pipeline, and show what a person who looks at it sees.

    Where the run waits for a person, the person is asked, and says yes.

    Args:
        stage: where.
        name: the stage's name.
        mode: ``migrate`` or ``rehearse``.
        migrations: the folder in the source.
        release: the number.

    Returns:
        The last answer.

    Raises:
        AwsError: the function does not answer.
    """
    from turnback.demo.pipeline_source import calling, put_source, repository

    source = put_source(stage.aws, repository(migrations))
    parameters = {
        "mode": mode,
        "path": "migrations",
        "release": release,
        "pipeline": PIPELINE,
        "execution": str(uuid.uuid4()),
    }
    invoke = calling(stage.aws, stage.outputs["OnPipelineFunctionName"])
    stage.story.say(f"the stage {name}:")
    shown = ""
    asked: set[str] = set()
    try:
        for answer in stage.pipeline.action(invoke, source, parameters, poll_s=ASK_SECONDS):
            if answer.text != shown:
                _show(stage, answer, first=not shown)
            shown = answer.text
            for gate, sign in (("release", "an approval"), ("restore", "the approval of a")):
                if f"waiting for {sign}" in answer.text and gate not in asked:
                    asked.add(gate)
                    _by_slack(stage) if gate == "release" else _by_mail(stage)
    except (AwsError, CheckFailed):
        stage.last_words()
        raise
    return answer


def command(stage: Stage, *arguments: str) -> int:
    """Type a command of turnback, and show what it prints; its exit code."""
    from turnback.local.scratch import MARK

    shown = (Path(part).name if os.sep in part else part for part in arguments)
    stage.story.say(f"$ turnback {' '.join(shown)}")
    environment = {
        **stage.aws.variables(),
        "TURNBACK_STACK": STACK,
        # Neither the user's profiles nor a proxy of theirs.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TMPDIR": str(stage.folder),
        MARK: str(stage.folder),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    try:
        for line in process.stdout:
            stage.story.quote([line.rstrip("\n")])
        return process.wait()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _show(stage: Stage, answer: Answer, *, first: bool) -> None:
    # Which run it is stands in each summary; said once, it is easier to read.
    text = answer.text if first else _RUN.sub("", answer.text)
    percent = f" ({answer.percent} %)" if answer.kind == "continue" and answer.percent else ""
    head, *others = text.splitlines() or [""]
    lines = [f"{_WORDS[answer.kind]:<11}  {head}{percent}", *(f"{'':<13}{line}" for line in others)]
    if answer.variables:
        lines.append(f"{'':<13}with the variables")
    lines += [f"{'':<15}{name} = {value}" for name, value in answer.variables.items()]
    stage.story.quote(lines)


def _by_slack(stage: Stage) -> None:
    """Press the button in Slack, which posts it, signed, to the function's address."""
    from turnback.demo.person import NAME, SLACK_ID
    from turnback.runs.approvals.slack import sign

    body = stage.chat.await_button("approve", SLACK_ID)
    now = str(int(time.time()))
    signature = sign(stage.signing_secret, now, body)
    headers = {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": signature}
    stage.person.press(stage.outputs["AnswerUrl"], body, headers)
    stage.story.say(f"{NAME} presses Approve in Slack")


def _by_mail(stage: Stage) -> None:
    """Follow the link in the mail to a page that has two buttons."""
    from turnback.demo.person import NAME

    mail = stage.person.next_mail(" restored ")
    stage.story.say(f"{NAME} has got a mail:")
    # The link holds a signed token that nobody reads.
    lines = (
        f"{line[:72]}…" if line.startswith("https://") else line
        for line in mail.strip().splitlines()
    )
    stage.story.quote(lines)
    said = stage.person.approve(mail)
    stage.story.say(f"{NAME} follows the link and says yes: {said}")
