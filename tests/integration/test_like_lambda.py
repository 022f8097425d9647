"""A whole run with its functions in a place like Lambda: see ``lambda_box`` for what that is."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.awslambda.models import LambdaFunction
from turnback.local.deploy import build_layer
from turnback.local.scratch import scratch

from tests.conftest import ProjectFactory
from tests.faults.recovery_bridge import bridge
from tests.integration.lambda_box import LambdaBox
from tests.integration.moto_stack import TEMPLATE, functions
from tests.integration.releases import FIRST, Deploy, health
from tests.integration.test_release_restored import STUCK, drop_kept, rows, write_rows

ROOT = Path(__file__).resolve().parents[2]
# The functions with something to do on a disk, in memory or with processes; the others are called
# as in all other tests.
BOXED = ("validate", "rehearse", "snapshot", "apply", "roll_back", "restore")


@pytest.fixture(scope="module")
def box() -> Iterator[LambdaBox]:
    if os.geteuid() or subprocess.run(["unshare", "--mount", "--net", "true"]).returncode:
        pytest.skip("the box needs a Linux whose root may make namespaces")
    with scratch("box") as folder, bridge() as endpoint:
        layers, root = folder / "layers", folder / "root"
        root.mkdir()
        for source, name in (("turnback", "TurnbackLayer"), ("postgres", "PostgresLayer")):
            archive = build_layer(ROOT, ROOT / "layers" / source, name)
            with zipfile.ZipFile(archive) as opened:
                for entry in opened.infolist():
                    Path(opened.extract(entry, layers)).chmod(entry.external_attr >> 16 & 0o777)
        layers.chmod(0o755)
        yield LambdaBox(layers, root, endpoint)


def memory_of(name: str) -> int:
    """What the template gives a function, in megabytes."""
    (found,) = (one for one in functions().values() if one["CodeUri"] == f"functions/{name}")
    size = found.get("MemorySize", TEMPLATE["Globals"]["Function"]["MemorySize"])
    return int(TEMPLATE["Parameters"][size["Ref"]]["Default"] if isinstance(size, dict) else size)


def test_a_run_rehearses_saves_applies_rolls_back_and_restores_as_in_lambda(
    deploy: Deploy,
    box: LambdaBox,
    database: str,
    project_factory: ProjectFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = deploy(
        SnapshotKind="dump", Rehearse="always", RestorePolicy="automatic", RestorePollSeconds="1"
    )
    boxed: list[str] = []
    elsewhere = LambdaFunction._invoke_lambda

    def invoke(function: Any, event: Any = None) -> tuple[str, bool, str]:
        name = function.function_name
        if name not in BOXED:
            answer: tuple[str, bool, str] = elsewhere(function, event)
            return answer
        boxed.append(name)
        # The rehearsal needs nothing but S3.
        return box.call(function, event, memory_of(name), network=name != "rehearse")

    first = stack.release(project_factory(FIRST), "1.0.0", tmp_path)
    assert first.status == "SUCCEEDED", first.cause
    write_rows(database)
    before = rows(database)
    monkeypatch.setattr(LambdaFunction, "_invoke_lambda", invoke)
    try:
        run = stack.release(project_factory(STUCK), "1.1.0", tmp_path)
        assert run.statuses[:3] == ["started", "rehearsed", "snapshot_taken"]
        assert run.statuses[-1] == "restored", run.messages[-1]
        assert rows(database) == before
        assert health(database) == {"0001": "applied", "0002": "applied"}
        assert set(boxed) == set(BOXED)
    finally:
        drop_kept(database)


PLACE = """
import errno, json, os, pwd, resource, sys

def refused(path):
    try:
        open(path, "w")
    except OSError as error:
        return error.errno == errno.EROFS

def named():
    try:
        return bool(pwd.getpwuid(os.getuid()))
    except KeyError:
        return False

tmp = os.statvfs("/tmp")
print(json.dumps({
    "read_only": [refused(path) for path in ("/x", "/var/task/x", "/opt/x", "/usr/x", "/dev/x")],
    "shm": os.path.exists("/dev/shm"),
    "named": named(),
    "tmp": tmp.f_blocks * tmp.f_frsize >> 20,
    "memory": resource.getrlimit(resource.RLIMIT_AS)[0] >> 20,
    "others": len([name for name in os.listdir("/proc") if name.isdigit()]),
}))
"""


def test_the_box_is_what_it_says(box: LambdaBox) -> None:
    done = box.python(["-c", PLACE], memory_megabytes=300)
    assert json.loads(done.stdout) == {
        "read_only": [True] * 5,
        "shm": False,
        "named": False,
        "tmp": 512,
        "memory": 300,
        "others": 1,
    }, done.stderr


CODE = """
import json, os
from turnback.engine.backfill.transform import Transform
from turnback.migrations.model import Script
from turnback.migrations.python import read_code
from turnback.settings.environment import CodeRule

SOURCE = '''
import os
def transform(rows):
    for row in rows:
        try:
            open(row["path"])
        except PermissionError:
            yield {"variables": sorted(os.environ)}
'''
script, code = Script("sql/0001_a.py", SOURCE, ""), read_code("sql/0001_a.py", SOURCE)
transform = Transform(script, code, 2**30, 10, CodeRule.CLOSED, print)
print(json.dumps(transform(["path"], [[f"/proc/{os.getpid()}/environ"]])))
transform.close()
"""


def test_a_migration_in_python_runs_there_without_the_functions_credentials(
    box: LambdaBox,
) -> None:
    done = box.python(["-c", CODE], memory_megabytes=300)
    [[row]] = json.loads(done.stdout or "[[null]]")
    assert row and set(row["variables"]) <= {"PATH", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH"}, done


SPY = """
import os, subprocess, sys
from turnback.rehearsal.server import shadow_server

def read():
    # As a program that a migration has started: of the same user, and not a child alone.
    command = ["cat", f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/maps"]
    return subprocess.run(command, capture_output=True).stdout

print("SECRET_TOKEN" in read().decode())
with shadow_server():
    print(read())
"""


def test_no_program_of_the_same_user_reads_the_environment_of_a_rehearsal(box: LambdaBox) -> None:
    done = box.python(["-c", SPY], variables={"AWS_SESSION_TOKEN": "SECRET_TOKEN"})
    assert done.stdout.splitlines() == ["True", "b''"], done.stderr
