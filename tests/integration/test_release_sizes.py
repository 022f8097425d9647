"""What a release of 500 migrations puts into the state machine's state and into payloads.

Step Functions takes 262,144 bytes as input or output of a state, Lambda 6 MB as a payload (their
developer guides, "Quotas").
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conftest import ProjectFactory
from tests.integration.moto_stack import Stack
from tests.integration.releases import Deploy

STATE_BYTES = 262_144


def texts(node: Any) -> Iterator[str]:
    """The inputs, outputs, parameters and causes in the events of a history."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("input", "output", "parameters", "cause") and isinstance(value, str):
                yield value
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)


def largest(stack: Stack, run: str) -> int:
    return max(len(text.encode()) for text in texts(stack.execution(run).to_history_output()))


def test_500_migrations_that_fail_at_the_last_one_fit_into_state_and_payloads(
    deploy: Deploy, project_factory: ProjectFactory, tmp_path: Path
) -> None:
    files = {}
    for number in range(1, 501):
        name = f"{'a_long_name_of_a_migration_' * 4}{number}"
        files[f"sql/{number:04}_{name}.sql"] = f"CREATE TABLE t{number} ();\n"
        files[f"rollback/{number:04}_{name}.sql"] = f"DROP TABLE t{number};\n"
    last = next(path for path in files if path.startswith("sql/0500_"))
    files[last] = f"DO $$ BEGIN RAISE EXCEPTION '{'x' * 40_000}'; END $$;\n"
    stack = deploy()
    run = stack.release(project_factory(files), "1.0.0", tmp_path)
    assert run.error == "MigrationFailed"
    assert run.statuses[-1] == "rolled_back"
    found = largest(stack, run.messages[-1]["run"])
    # The state carries no list of migrations: it is far below the limit, errors included.
    assert 8_000 < found < STATE_BYTES / 2
    assert len(json.dumps(run.messages[-1])) < STATE_BYTES
