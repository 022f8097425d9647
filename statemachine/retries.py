"""Write the Retry blocks of the state machines; `make retries` does it, a contract test holds it.

Each state names its retriers below. Step Functions tries them in this order and takes the first
that lists the error. BackoffRate is 2 and the jitter full everywhere.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

DEFINITIONS = [Path(__file__).with_name(f"{name}.asl.json") for name in ("release", "backfill")]
# Errors of Lambda's service, which say nothing of the function (Step Functions Developer Guide,
# "Handle transient Lambda service exceptions").
LAMBDA = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
]
# Lambda makes a function inactive that nobody called for weeks. The first call fails, and wakes it
# within a minute or two (Lambda Developer Guide, "Lambda function states").
ASLEEP = [
    "Lambda.ResourceNotReadyException",
    "Lambda.ResourceConflictException",
    "Lambda.ClientExecutionTimeoutException",
]
# A function that was stopped or killed. Every step can be repeated, so it is called again.
STOPPED = ["States.Timeout", "Sandbox.Timedout", "Lambda.Unknown", "Runtime.ExitError"]
FAILOVER = "DatabaseNotReady"
# Name: errors, seconds before the first retry, attempts, and the longest wait in seconds.
RETRIERS: dict[str, tuple[list[str], int, int, int | None]] = {
    "announcement": ([*LAMBDA, "AwsError"], 1, 2, None),
    "service": ([*LAMBDA, "DatabaseUnreachable", "AwsError"], 1, 5, 30),
    # Once the database was changed, minutes of an outage or a failover are waited for.
    # The writer is elsewhere within one or two minutes (Aurora and RDS User Guides, "Failover").
    # 2, 4, 8, 16, 32 and seven times 60 seconds, of which the jitter takes half: 4 minutes, 8 at
    # most. Each try is a new call, with the address looked up and the login read anew.
    "service, patient": ([*LAMBDA, FAILOVER, "DatabaseUnreachable", "AwsError"], 2, 12, 60),
    "failover": ([FAILOVER], 2, 12, 60),
    "asleep": (ASLEEP, 15, 12, 30),
    "stopped": (STOPPED, 5, 3, 60),
    # Of a task that waits, whose timeout is no failure.
    "killed": (STOPPED[1:], 5, 3, 60),
    "busy": (["RunnerBusy"], 1, 10, 60),
    "busy, after a failure": (["RunnerBusy"], 5, 10, 60),
    "locked": (["LockTimeout"], 2, 5, 60),
    # Of a run that was redriven: until the one that has the turn has ended, or for hours.
    "turn lost": (["TurnLost"], 60, 10, 3600),
    "application": (["ApplicationNotStopped"], 2, 2, None),
    "application, to start": (["ApplicationNotStopped"], 2, 5, None),
}
TASK = ["service", "asleep", "stopped"]
PATIENT = ["service, patient", "asleep", "stopped"]
# A question waits for people, not for the function: only the call that asks is retried.
QUESTION = ["service", "asleep"]
STATES = {
    "TakeTurn": TASK,
    "CheckArtifact": TASK,
    "WaitForTurn": [*QUESTION, "killed"],
    "PassTurn": TASK,
    "PassTurnToAsk": TASK,
    "Validate": ["busy", "failover", *TASK],
    "Rehearse": TASK,
    "AskApproval": QUESTION,
    "Snapshot": ["failover", *TASK],
    "Apply": ["busy", "locked", *PATIENT],
    "Verify": PATIENT,
    "StartBackfills": TASK,
    "GoOn": ["locked", *PATIENT],
    "LookAtBalances": TASK,
    "FindChanges": ["failover", *TASK],
    "LookAtApplication": ["application", *TASK],
    "StopApplication": ["turn lost", "application", *TASK],
    "RollBack": ["turn lost", "busy", "locked", *PATIENT],
    "Assess": ["turn lost", "busy, after a failure", *PATIENT],
    "AskRestore": QUESTION,
    "Restore": ["turn lost", "busy, after a failure", *PATIENT],
    "StartApplication": ["application, to start", *TASK],
}
_STATE = re.compile(r'^    "(\w+)": \{$.*?^    \}', re.MULTILINE | re.DOTALL)
_RETRY = re.compile(r'^      "Retry": \[.*?^      \]', re.MULTILINE | re.DOTALL)


def written(definition: str) -> str:
    """The definition with its Retry blocks as this file has them."""

    def state(match: re.Match[str]) -> str:
        return _RETRY.sub(lambda _: _block(match[1]), match[0])

    return _STATE.sub(state, definition)


def _block(state: str) -> str:
    names = ["announcement", "asleep"] if state.startswith("Announce") else STATES[state]
    return '      "Retry": [\n' + ",\n".join(map(_retrier, names)) + "\n      ]"


def _retrier(name: str) -> str:
    errors, first, attempts, longest = RETRIERS[name]
    fields = {
        "ErrorEquals": errors,
        "IntervalSeconds": first,
        "MaxAttempts": attempts,
        "BackoffRate": 2,
        **({"MaxDelaySeconds": longest} if longest else {}),
        "JitterStrategy": "FULL",
    }
    lines = [
        f"          {json.dumps(field)}: {json.dumps(value)}" for field, value in fields.items()
    ]
    return "        {\n" + ",\n".join(lines) + "\n        }"


if __name__ == "__main__":
    for definition in DEFINITIONS:
        definition.write_text(written(definition.read_text()))
