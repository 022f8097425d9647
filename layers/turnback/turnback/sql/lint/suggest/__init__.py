"""What to write instead, as files: built from the author's tree, never from its text.

Each is a test: it runs on a server with rows, keeps what the author meant, and lints clean
(tests/integration/test_lint_suggestions.py).
"""

from turnback.sql.lint.suggest.columns import (
    changed_type,
    of_base_type,
    renamed_column,
    required,
    volatile_default,
    without_views,
)
from turnback.sql.lint.suggest.constraints import (
    check,
    domain,
    enforced,
    foreign,
    not_null,
    partition,
    unique,
)
from turnback.sql.lint.suggest.indexes import index, index_of_columns, reindex
from turnback.sql.lint.suggest.rows import batches, in_files_of_their_own
from turnback.sql.lint.writing import alter, apart, files

__all__ = [
    "alter",
    "apart",
    "batches",
    "changed_type",
    "check",
    "domain",
    "enforced",
    "files",
    "foreign",
    "in_files_of_their_own",
    "index",
    "index_of_columns",
    "not_null",
    "of_base_type",
    "partition",
    "reindex",
    "renamed_column",
    "required",
    "unique",
    "volatile_default",
    "without_views",
]
