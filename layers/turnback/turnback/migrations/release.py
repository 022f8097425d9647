"""Release numbers: semantic versions, compared by their rules (semver.org, 2.0.0, item 11)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import total_ordering

from turnback.errors import ConfigurationError

_SEMVER = re.compile(
    r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$",
    re.ASCII,
)


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class ReleaseNumber:
    """A semantic version that compares as semver says; build metadata does not count."""

    text: str
    core: tuple[int, int, int]
    pre: tuple[str, ...] = field(default=())

    def _key(self) -> tuple[object, ...]:
        identifiers = tuple(
            (0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre
        )
        return (self.core, not self.pre, identifiers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReleaseNumber) and self._key() == other._key()

    def __lt__(self, other: ReleaseNumber) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def parse_release(text: str) -> ReleaseNumber:
    """The release number in this text.

    Raises:
        ConfigurationError: it is not a semantic version.
    """
    match = _SEMVER.fullmatch(text)
    if not match or len(text) > 64:
        raise ConfigurationError(
            f"'{text[:80]}' is not a release number",
            hint="write a semantic version of at most 64 characters, for example 1.4.0",
        )
    core = (int(match[1]), int(match[2]), int(match[3]))
    return ReleaseNumber(text, core, tuple(match[4].split(".")) if match[4] else ())
