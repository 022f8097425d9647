"""What goes wrong with a step of the state machine, put in the place of its function's call."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from moto.core.exceptions import AccessDeniedError, JsonRESTError
from moto.sns.models import SNSBackend
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import EvalTimeoutError
from turnback.errors import ConfigurationError

from tests.faults.recovery_cells import retries_of
from tests.integration.handlers import call

CHILD = Path(__file__).with_name("recovery_child.py")
Answer = tuple[str, bool, str]


class Fault(StrEnum):
    """A column of the table."""

    ERROR = "error raised"
    LATE = "timed out before its work"
    LOST = "timed out after its work"
    THROTTLED = "throttled twice"
    ASLEEP = "asleep twice"
    KILLED = "killed"
    DUMB = "error, announce down"


# The name that Step Functions knows the fault by.
NAMES = {
    Fault.ERROR: "ConfigurationError",
    Fault.LATE: "Sandbox.Timedout",
    Fault.LOST: "States.Timeout",
    Fault.THROTTLED: "Lambda.TooManyRequestsException",
    Fault.ASLEEP: "Lambda.ResourceNotReadyException",
    Fault.KILLED: "Runtime.ExitError",
    Fault.DUMB: "ConfigurationError",
}
REFUSED = "AwsError"
_ADD = "turnback.runs.records:Records.add"
# Where a function that touches the database dies; at each of its tries at the next one.
MOMENTS = {
    "Validate": ["turnback.runs.records:Records.write_plan"],
    "Rehearse": ["turnback.runs.records:Records.write_rehearsal"],
    "Snapshot": ["turnback.recovery.dumps.dump:DumpSnapshots._read_back"],
    # After the second migration; after the last one, before its report; and before its answer.
    "Apply": ["turnback.wiring.invocation:Invocation.keep_going#3", _ADD, "answer"],
    "Verify": ["answer"],
    "RollBack": ["turnback.wiring.invocation:Invocation.keep_going#2", _ADD, "answer"],
    "Assess": ["answer"],
    # Before the swap, and after it; test_restore_killed.py has every statement between.
    "Restore": ["turnback.wiring.database:Database.connect_at", "answer"],
}
_ASKS = {"release": "AskApproval", "restore": "AskRestore"}
_TURNS = {"take": "TakeTurn", "wait": "WaitForTurn", "leave": "PassTurn"}


def state_of(folder: str, event: dict[str, Any]) -> str:
    """The state of the definition that makes this call."""
    match folder:
        case "announce":
            words = event["status"].split("_")
            return "Announce" + "".join("A" if word == "a" else word.title() for word in words)
        case "turn" if event["do"] == "leave" and "outcome" not in event["state"]:
            return "PassTurnToAsk"
        case "turn":
            return _TURNS[event["do"]]
        case "roll_back" if "only" in event:
            return "FindChanges"
        case "validate" if "only" in event:
            return "CheckArtifact"
        case "ask":
            return _ASKS[event["gate"]]
        case "application":
            return (
                "LookAtApplication"
                if event["do"] == "look"
                else f"{event['do'].title()}Application"
            )
        case "apply" | "restore" if "only" in event:
            return str(event["only"]).title()
    return "".join(word.title() for word in folder.split("_"))


def name_of(state: str, fault: Fault) -> str:
    """What Step Functions calls the fault of a state."""
    # A state that has to tell somebody something is failed by SNS itself.
    speaks = state.startswith(("Announce", "Ask"))
    return REFUSED if fault is Fault.DUMB and speaks else NAMES[fault]


def failures_of(state: str, fault: Fault, entry: int) -> tuple[int, int]:
    """How often a state is to fail, and to be tried again, when it is entered for this time.

    Args:
        state: by its name in the definition.
        fault: what happens to it.
        entry: from 0.
    """
    retries = retries_of(state, name_of(state, fault))
    match fault:
        case Fault.ERROR | Fault.LATE | Fault.DUMB:
            return retries + 1, retries
        case Fault.LOST:
            bad = 1
        case Fault.THROTTLED | Fault.ASLEEP:
            bad = 2
        case Fault.KILLED:
            bad = len(MOMENTS.get(state, ["work"]))
    bad = bad if entry == 0 else 0
    return min(bad, retries + 1), min(bad, retries)


@dataclass
class Faults:
    """Stands where moto would start a container, and lets one state's calls go wrong.

    Attributes:
        layer: of the functions that have it.
        having: those functions.
        aws: where a process of its own finds moto.
        answer: called after a question was put, with its event.
        other: another run: called with True before a turn is taken, to have it, and with False once
            a run waits for it, to give it away; None where there is no other run.
        moments: where the state's calls die, where not as in MOMENTS.
        before: called before the state's own work, with its event.
        finished: set after the state's call.
    """

    layer: Path
    having: set[str]
    aws: str
    answer: Callable[[dict[str, Any]], None]
    state: str = ""
    fault: Fault | None = None
    # Calls of the state so far, and the last of them.
    calls: int = 0
    last: tuple[Any, str] | None = None
    moments: list[str] | None = None
    before: Callable[[dict[str, Any]], None] | None = None
    finished: threading.Event = field(default_factory=threading.Event)
    other: Callable[[bool], None] | None = None

    def arm(self, state: str, fault: Fault | None, moments: list[str] | None = None) -> None:
        """Let this go wrong from now on, and nothing else."""
        self.state, self.fault, self.calls, self.before = state, fault, 0, None
        self.moments = moments or MOMENTS.get(state, ["work"])
        self.finished.clear()

    def invoke(self, function: Any, event: Any = None) -> Answer:
        """What moto's LambdaFunction._invoke_lambda returns."""
        given = json.loads(event) if isinstance(event, (str, bytes)) else event
        if "state" not in given or state_of(function.function_name, given) != self.state:
            return self.work(function, given)
        self.calls += 1
        self.last = (function, json.dumps(given))
        if self.before:
            self.before(given)
        try:
            return self._with_fault(function, given)
        finally:
            self.finished.set()

    def _with_fault(self, function: Any, given: dict[str, Any]) -> Answer:
        match self.fault:
            case Fault.ERROR | Fault.DUMB if name_of(self.state, self.fault) != REFUSED:
                error = ConfigurationError("made to fail by a test", hint="none")
                text = str(error.machine_readable())
                return _error(type(error).__name__, text)
            case Fault.LATE:
                return _error("Sandbox.Timedout", "RequestId: 1 Error: Task timed out")
            case Fault.LOST if self.calls == 1:
                self.work(function, given)
                raise EvalTimeoutError
            case Fault.THROTTLED if self.calls <= 2:
                throttled = JsonRESTError("TooManyRequestsException", "Rate Exceeded.")
                throttled.code = 429
                raise throttled
            case Fault.ASLEEP if self.calls <= 2:
                asleep = JsonRESTError("ResourceNotReadyException", "The function is inactive.")
                asleep.code = 502
                raise asleep
            case Fault.KILLED:
                if self.moments and self.calls <= len(self.moments):
                    return self._killed(function, given, self.moments[self.calls - 1])
        return self.work(function, given)

    def again(self) -> Answer:
        """The state's last call once more, as a redrive makes it, and nothing goes wrong."""
        assert self.last
        function, event = self.last
        has_layer = function.function_name in self.having
        return call(function, json.loads(event), layer=self.layer if has_layer else None)

    def work(self, function: Any, event: dict[str, Any]) -> Answer:
        """The call itself."""
        has_layer = function.function_name in self.having
        asked = event["do"] if function.function_name == "turn" and self.other else ""
        if self.other and asked == "take":
            self.other(True)
        answer = call(function, event, layer=self.layer if has_layer else None)
        if self.other and asked == "wait":
            self.other(False)
        if function.function_name == "ask" and not answer[1]:
            self.answer(event)
        return answer

    def _killed(self, function: Any, event: dict[str, Any], moment: str) -> Answer:
        if moment == "work":
            self.work(function, event)
        else:
            self._kill_child(function, event, moment)
        return _error("Runtime.ExitError", "RequestId: 1 Error: Runtime exited: signal: killed")

    def _kill_child(self, function: Any, event: dict[str, Any], moment: str) -> None:
        folder = function.function_name
        layer = str(self.layer) if folder in self.having else ""
        ran = subprocess.Popen(
            [sys.executable, str(CHILD), folder, str(function.timeout), moment, layer],
            env={**os.environ, **function.environment_vars, "AWS_ENDPOINT_URL": self.aws},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        _, stderr = ran.communicate(json.dumps(event).encode())
        # With what it had started: a sandbox goes whole.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(ran.pid, signal.SIGKILL)
        assert ran.returncode == -signal.SIGKILL, f"{moment}: {stderr.decode()[-2000:]}"


def _error(name: str, text: str) -> Answer:
    return json.dumps({"errorType": name, "errorMessage": text}), True, ""


def refuse(faults: Faults) -> Callable[..., Any]:
    """SNS as it answers while announce is down, in the place of moto's publish."""
    publish = SNSBackend.publish

    def answer(self: SNSBackend, *arguments: Any, **options: Any) -> Any:
        if faults.fault is Fault.DUMB:
            raise AccessDeniedError("arn:aws:iam::123456789012:role/any", "SNS:Publish")
        return publish(self, *arguments, **options)

    return answer
