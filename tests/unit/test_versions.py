"""What two versions are compared by, and what they are called where not every text may be."""

from __future__ import annotations

import re

import pytest
from turnback.migrations.versions import jump, key
from turnback.recovery.model import version_tag

# The values of tags that RDS takes (its API reference, "Tag") in ASCII, as S3 counts them.
OF_TAGS = re.compile(r"[A-Za-z0-9 _.:/=+@-]{1,256}")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0002", "2", True),
        ("000", "0", True),
        ("2", "20", False),
        ("1.2.3", "1.2.3", True),
        ("1.02", "1.2", False),
        ("02-users", "2-users", False),
        ("٢", "2", False),
    ],
)
def test_digits_alone_are_compared_without_leading_zeros(one: str, other: str, same: bool) -> None:
    assert (key(one) == key(other)) is same


def test_numbers_that_are_left_out_are_remarked_and_times_are_not() -> None:
    assert jump("0001", "0003") == "the numbers jump from 1 to 3"
    assert jump("0001", "0002") is None
    assert jump("20260101", "20260301") is None
    assert jump("1.0", "3") is jump("1", "3-users") is None


@pytest.mark.parametrize("version", ["0002", "ann:7@db/v1", "ärger", "a#b'c", "x" * 257, "✓" * 900])
def test_a_version_has_a_tag_of_its_own(version: str) -> None:
    tag = version_tag(version)
    assert OF_TAGS.fullmatch(tag)
    assert (tag == version) is bool(OF_TAGS.fullmatch(version))
    assert tag != version_tag(version + "2")
