"""What a version is: a text. Two are the same if their keys are; they have no order of their own.

The order of migrations is that of the project's list, which its layout decides, and that of the
history for what has no file.
"""

from __future__ import annotations

# What ``down`` and ``lint --since`` take for "before the first", whatever the first is called.
BEFORE_FIRST = "0"
# The column of the history.
LONGEST = 1000
# From here on a number is a time, and times have gaps by nature.
_TIMES = 10**7


def key(version: str) -> str:
    """What versions are compared by: the text, and of digits the text without leading zeros."""
    if version.isascii() and version.isdigit():
        return version.lstrip("0") or "0"
    return version


def number(version: str) -> int | None:
    """The version as a number; None where it is not one."""
    return int(version) if version.isascii() and version.isdigit() else None


def jump(before: str, after: str) -> str | None:
    """A remark where numbers are left out between two versions; None where none are."""
    low, high = number(before), number(after)
    if low is None or high is None or high - low <= 1 or high >= _TIMES:
        return None
    return f"the numbers jump from {low} to {high}"
