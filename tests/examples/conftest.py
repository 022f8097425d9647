"""Print which examples were run, and which were not and why."""

from __future__ import annotations

import pytest

from tests.examples.page import Outcome

OUTCOMES = pytest.StashKey[dict[str, Outcome]]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    found = config.stash.get(OUTCOMES, {})
    if not found:
        return
    write = terminalreporter.write_line
    for page, one in sorted(found.items()):
        if one.run or one.not_run:
            write(f"{page}: {one.run} commands run, {one.files} files used")
            for reason in one.not_run:
                write(f"    {reason}: not run")
    run, not_run = (
        sum(one.run for one in found.values()),
        sum(len(one.not_run) for one in found.values()),
    )
    write(f"examples: {run} commands run on {len(found)} pages; {not_run} blocks not run")
