"""Writing ``[layout]`` into a ``turnback.toml``, whose other lines stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

from turnback.errors import ConfigurationError
from turnback.settings.project import FILE, ProjectFile, bytes_of


def write_layout(folder: Path, name: str, baseline: str | None, *, write: bool = True) -> bool:
    """Say in the file of a folder whose layout its migrations have.

    Args:
        folder: where the file is, or is made.
        name: the layout's.
        baseline: the last version that another tool has applied; None for none.
        write: whether it is written; False only finds out what would stop it.

    Returns:
        Whether the file was changed, or would be.

    Raises:
        ConfigurationError: the file is wrong, or has the section in a form that is not changed.
    """
    path = folder / FILE
    data = bytes_of(path)
    wanted = {"name": name} | ({"baseline": baseline} if baseline else {})
    before = ProjectFile.parse(data, path) if data is not None else ProjectFile()
    if before.sections.get("layout") == wanted:
        return False
    lines = (data or b"").decode("utf-8-sig").splitlines(keepends=True)
    section = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in wanted.items()
    ]
    header = before.lines.get("layout")
    if header is None:
        gap = ["\n"] if lines else []
        lines = [*lines, *gap, "[layout]\n", *section]
    else:
        old = {before.lines.get(f"layout.{key}") for key in before.sections["layout"]}
        kept = [(number, line) for number, line in enumerate(lines, 1) if number not in old]
        lines = []
        for number, line in kept:
            lines += [line, *(section if number == header else [])]
    text = "".join(lines).encode()
    if _differs(text, before, wanted):
        raise ConfigurationError(
            "the section [layout] cannot be changed in this form",
            file=FILE,
            line=header,
            hint="write it by hand: [layout] on a line of its own, below it "
            + ", ".join(line.strip() for line in section),
        )
    if write:
        path.write_bytes(text)
    return True


def _differs(text: bytes, before: ProjectFile, wanted: dict[str, str]) -> bool:
    try:
        after = ProjectFile.parse(text, Path(FILE)).sections
    except ConfigurationError:
        return True
    return dict(after) != {**before.sections, "layout": wanted}
