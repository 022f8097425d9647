"""Runs ``transform(rows)`` of a user's file, in a process of its own; see transform_child."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnback.engine.backfill import transform_child
from turnback.engine.backfill.seccomp import filters
from turnback.engine.run.refusals import refuse_code
from turnback.errors import CodeNotAllowed
from turnback.migrations.model import Script
from turnback.migrations.python import Code
from turnback.settings.environment import CodeRule
from turnback.wording import visible

# A path to the interpreter's own libraries; nothing else of ours is for the user's code.
_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
_START_S = 30.0
_LONGEST_NOTE = 2000


@dataclass(slots=True, eq=False)
class TransformFailed(Exception):
    """The user's code failed, or what it returned cannot be used.

    Attributes:
        message: what may be published.
        line, column: where in the file, from 1; None where no line of it is known.
        detail: all that the exception says, which may have values of rows.
        of_rows: whether other rows may do better.
    """

    message: str
    line: int | None = None
    column: int | None = None
    detail: str | None = None
    of_rows: bool = True

    def __post_init__(self) -> None:
        # Text of the user's process may have what no statement can hold: NUL, half of a pair.
        self.message = visible(self.message)
        self.detail = self.detail and visible(self.detail)

    def __str__(self) -> str:
        return self.message


class Transform:
    """The process of one worker. It is started with the first batch, and again after it was ended.

    Args:
        script: the file.
        code: what it says of itself.
        memory: bytes that the process may have.
        time_s: how long a batch may take, seconds.
        rule: whether it may run, and what it must be kept from.
        printed: gets what the code prints.

    Raises:
        CodeNotAllowed: it may not run here, or cannot be kept from the network.
    """

    def __init__(
        self,
        script: Script,
        code: Code,
        memory: int,
        time_s: float,
        rule: CodeRule,
        printed: Callable[[str], None],
    ) -> None:
        refuse_code(script, rule)
        self._script, self._code = script, code
        self._memory, self._time_s = memory, time_s
        self._printed = printed
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[list[Any]]:
        """What the code makes of these rows, packed: ``[row]`` or ``[sql, parameters]``.

        Raises:
            TransformFailed: the code failed, or was ended by a limit.
        """
        try:
            packed = [list(map(transform_child.pack, row, columns)) for row in rows]
        except transform_child.Unfit as unfit:
            raise TransformFailed(
                f"{unfit.where} has a value of a kind that transform cannot get ({unfit.kind}): "
                "name other columns in columns=",
                of_rows=False,
            ) from None
        if self._process is None:
            self._start()
        answer = self._ask({"columns": columns, "rows": packed}, self._time_s)
        found = answer.get("results")
        if not isinstance(found, list) or not all(map(_is_result, found)):
            raise self._unreadable()
        return found

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        _kill(process)
        process.wait()
        for file in (process.stdin, process.stdout, self._complaints):
            with contextlib.suppress(OSError):
                if file:
                    file.close()

    def _start(self) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        # Nothing of ours is on its path (-I -S); the group is for ending it.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-X", "utf8", transform_child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env={name: os.environ[name] for name in _VARIABLES if name in os.environ},
            cwd=Path(sys.executable).anchor,
            start_new_session=True,
        )
        self._ask(
            {
                "path": self._script.path,
                "source": self._script.sql,
                "imports": self._code.imports,
                "memory": self._memory,
                "filters": [one.hex() for one in filters() or ()],
            },
            _START_S,
            starting=True,
        )

    def _ask(self, frame: object, time_s: float, *, starting: bool = False) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdin and process.stdout
        late = threading.Event()

        def stop() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(time_s, stop)
        timer.start()
        try:
            # Popen has both, because they are pipes.
            transform_child.send(process.stdin, frame)  # type: ignore[arg-type]
            answer = transform_child.receive(process.stdout)  # type: ignore[arg-type]
        except transform_child.TooMuch:
            raise self._too_much() from None
        except (ValueError, RecursionError):
            raise self._unreadable() from None
        except (OSError, EOFError):
            if late.is_set():
                raise self._ended(
                    f"a batch took longer than its time limit, {time_s:g} s"
                ) from None
            raise self._ended(self._how_it_ended(), of_rows=not starting) from None
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
        match answer:
            case {"printed": str(printed)} if isinstance(answer.get("fault", {}), dict):
                if printed:
                    self._printed(printed)
            case _:
                raise self._unreadable()
        if "fault" in answer:
            raise self._failed(answer["fault"], starting=starting)
        return dict(answer)

    def _failed(self, found: Mapping[str, Any], *, starting: bool) -> TransformFailed:
        line, column = (
            place if isinstance(place := found.get(name), int) else None
            for name in ("line", "column")
        )
        text = str(found.get("text", ""))
        if starting:
            self.close()
        match found.get("kind"):
            case "filter":
                raise CodeNotAllowed(
                    "the process for a migration in Python cannot be kept from the network here: "
                    f"{text}",
                    file=self._script.path,
                    hint="run it where the kernel has seccomp, or write the migration in SQL",
                )
            case "memory":
                # What it still holds is not known.
                self.close()
                message = f"it needed more memory than its limit, {self._memory // 2**20} MB"
                return TransformFailed(message, line, column, of_rows=not starting)
            case "size":
                return self._too_much()
            case "misused":
                return TransformFailed(text, line, column)
            case "unfit":
                where = str(found.get("where"))
                top = re.split(r"[.\[]", where)[0]
                shown = top if top in self._code.texts else "a value"
                message = f"{shown} has a {text}, which is no value of a row or of JSON"
                return TransformFailed(message, line, column, where)
        name = str(found.get("name"))
        whole = f"{name}: {text}" if text else name
        # What the author wrote may be shown; anything else may be a value of a row.
        written = text.strip("'") in self._code.texts
        message = whole if written else name
        if name == "PermissionError":
            message += " (a migration has no network, files, threads or other programs)"
        detail = None if written else whole
        return TransformFailed(message, line, column, detail, of_rows=not starting)

    def _too_much(self) -> TransformFailed:
        most = transform_child.MOST_BYTES // 2**20
        return TransformFailed(f"the rows of a batch have more than {most} MB")

    def _ended(self, message: str, *, of_rows: bool = True) -> TransformFailed:
        self.close()
        return TransformFailed(message, of_rows=of_rows)

    def _unreadable(self) -> TransformFailed:
        return self._ended("its answer cannot be read")

    def _how_it_ended(self) -> str:
        """Why the process does not answer: its signal or exit code, and what it has complained."""
        assert self._process is not None
        _kill(self._process)
        code = self._process.wait()
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        if code == -signal.SIGSYS:
            how += ": a system call of another architecture"
        self._complaints.seek(0)
        said = self._complaints.read(_LONGEST_NOTE).decode(errors="replace").strip()
        return f"its process ended ({how}){f': {said}' if said else ''}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    # One that was waited for has a number that another one may have by now.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)


def _is_result(found: object) -> bool:
    match found:
        case [dict()] | [str(), list() | dict()]:
            return True
    return False
