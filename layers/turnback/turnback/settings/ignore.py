"""What a project leaves out: ``[ignore]`` of turnback.toml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Ignore:
    """Patterns; ``*`` is any characters, ``?`` is one.

    Attributes:
        files: files below the folder of the migrations; ``*`` stops at a slash, ``**`` does not.
        schemas: schemas that are not compared, with all that is in them.
        objects: what is not compared, each as ``schema.name``, with all that belongs to it.
    """

    files: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()

    @property
    def not_compared(self) -> list[str]:
        """What is not compared, in words: ``schema cron``, ``object public.log_*``."""
        return [
            f"{what} {pattern}"
            for what, patterns in (("schema", self.schemas), ("object", self.objects))
            for pattern in patterns
        ]

    def has_file(self, path: str) -> bool:
        """Whether a file is left out.

        Args:
            path: below the folder of the migrations, with forward slashes.
        """
        return any(re.fullmatch(_expression(pattern), path) for pattern in self.files)

    def has_object(self, schema: str, name: str) -> bool:
        """Whether an object is not compared.

        Args:
            schema: its schema.
            name: its own name; of a schema itself "".
        """
        return any(fnmatchcase(schema, pattern) for pattern in self.schemas) or (
            bool(name) and any(fnmatchcase(f"{schema}.{name}", one) for one in self.objects)
        )


NOTHING = Ignore()


def _expression(pattern: str) -> str:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    split = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return "".join(parts.get(part, re.escape(part)) for part in split)
