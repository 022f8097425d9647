"""What a function raises: caught once, logged, answered, and raised again as one of our errors."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from turnback.errors import AwsError, TurnbackError, UnexpectedError
from turnback.runtime import Wiring, entry, logger

from tests.integration.handlers import Context


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logger.registered_handler.setStream(stream)
    yield stream
    logger.registered_handler.setStream(sys.__stdout__)


def raised(error: Exception, **options: Any) -> TurnbackError:
    """What a function raises whose work raises this."""

    def work(_: Wiring) -> dict[str, Any]:
        raise error

    handler = entry(**options)(work) if options else entry(work)
    with pytest.raises(TurnbackError) as caught:
        handler({"state": {"run": "r-1"}}, Context("apply", 60))
    return caught.value


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (MemoryError(), "MemoryError", "more memory"),
        (OSError(28, "No space left on device"), "No space left on device", "TmpMegabytes"),
        (KeyError("artifact"), "KeyError: 'artifact'", "report it"),
        (RecursionError("maximum depth"), "RecursionError: maximum depth", "report it"),
    ],
)
def test_what_nobody_expected_is_raised_as_an_error_of_ours(
    error: Exception, message: str, hint: str, logged: io.StringIO
) -> None:
    found = raised(error)
    assert type(found) is UnexpectedError
    assert found.__cause__ is error
    said = json.loads(str(found))
    assert message in said["message"] and hint in said["hint"]
    [line] = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert (line["level"], line["run"]) == ("ERROR", "r-1")
    assert type(error).__name__ in line["exception"]


def test_of_an_unexpected_text_only_the_first_line_is_passed_on() -> None:
    # psycopg puts the values of a row on the lines below.
    said = str(raised(ValueError("duplicate key\nDETAIL: Key (email)=(ann@example.com)")))
    assert "duplicate key" in said and "ann@" not in said


def test_an_answer_is_given_before_the_error_is_raised() -> None:
    answered: list[TurnbackError] = []
    found = raised(MemoryError(), failed=lambda _, error: answered.append(error))
    assert answered == [found]


def test_an_answer_that_fails_hides_no_error(logged: io.StringIO) -> None:
    def fail(_: Wiring, __: TurnbackError) -> None:
        raise AwsError("CodePipeline is away")

    assert "MemoryError" in raised(MemoryError(), failed=fail).message
    assert "CodePipeline is away" in logged.getvalue()
