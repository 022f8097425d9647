"""moto in a hurry, and fixed where it does not do what Step Functions does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from moto.stepfunctions.parser.asl.component.common.catch.catcher_decl import CatcherDecl
from moto.stepfunctions.parser.asl.component.common.catch.catcher_outcome import (
    CatcherOutcomeCaught,
)
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (
    WaitFunction,
)


def hurry(patch: pytest.MonkeyPatch) -> None:
    """The pauses of the definition pass at once; how many there are, and for what, stays."""
    patch.setattr(retrier_decl, "time", SimpleNamespace(sleep=lambda _: None))

    def wait(_: WaitFunction, env: Any, wait_seconds: int) -> None:
        env.program_state_event.wait(min(wait_seconds, 0.05))

    patch.setattr(WaitFunction, "_wait_interval", wait)


def fix(patch: pytest.MonkeyPatch) -> None:
    """Let a Catch lead to its own state, and let a run end with an error of Step Functions.

    moto takes the first for no Catch and goes on to the next state, and refuses the second.
    """
    evaluate, go_on = CatcherDecl._eval_body, CommonStateField._set_next

    def caught(self: Any, env: Any) -> None:
        evaluate(self, env)
        if isinstance(env.stack[-1], CatcherOutcomeCaught):
            env.caught_to = self.next_decl.name

    def next_state(self: Any, env: Any) -> None:
        if getattr(env, "caught_to", None) != self.name:
            go_on(self, env)
        env.caught_to = None

    def named(self: Any, error_name: str | None) -> None:
        self.error_name = error_name

    patch.setattr(CustomErrorName, "__init__", named)
    patch.setattr(CatcherDecl, "_eval_body", caught)
    patch.setattr(CommonStateField, "_set_next", next_state)
