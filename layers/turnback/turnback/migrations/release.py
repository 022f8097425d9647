"""Release numbers: semantic versions, compared by their rules (semver.org, 2.0.0, item 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnback.errors import ConfigurationError

if TYPE_CHECKING:
    from semver import Version

_LENGTH = 64


def parse_release(text: str) -> Version:
    """The release number in this text. Build metadata does not count in a comparison.

    Raises:
        ConfigurationError: it is not a semantic version of at most 64 characters.
    """
    from semver import Version  # 30 ms, which a command without a release does not pay.

    try:
        if len(text) > _LENGTH:
            raise ValueError(text)
        return Version.parse(text)
    except (TypeError, ValueError) as exc:
        raise ConfigurationError(
            f"'{str(text)[:80]}' is not a release number",
            hint=f"write a semantic version of at most {_LENGTH} characters, for example 1.4.0",
        ) from exc
