"""Release numbers: which texts are one, and which is the lower."""

from __future__ import annotations

import itertools

import pytest
from turnback.errors import ConfigurationError
from turnback.migrations.release import parse_release

# semver.org 2.0.0, item 11, and around it.
RISING = [
    "0.0.9",
    "0.10.0",
    "1.0.0-0",
    "1.0.0-2",
    "1.0.0-10",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "2.0.0--",
    "2.0.0-0a",
    "2.0.0",
    "10.0.0",
]


@pytest.mark.parametrize(("lower", "higher"), list(itertools.pairwise(RISING)))
def test_a_release_is_lower_than_the_next(lower: str, higher: str) -> None:
    assert parse_release(lower) < parse_release(higher)
    assert not parse_release(higher) < parse_release(lower)
    assert parse_release(lower) != parse_release(higher)


def test_any_two_releases_are_in_order() -> None:
    assert [str(r) for r in sorted(map(parse_release, reversed(RISING)))] == RISING


def test_build_metadata_does_not_count() -> None:
    one, other = parse_release("1.4.0+build.7"), parse_release("1.4.0")
    assert one == other
    assert not one < other and not other < one
    assert parse_release("1.4.0-rc.1+build.7") == parse_release("1.4.0-rc.1")


def test_the_text_is_kept_as_it_was_given() -> None:
    assert str(parse_release("1.4.0-rc.1+x")) == "1.4.0-rc.1+x"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.4",
        "v1.4.0",
        "1.4.0.0",
        "01.4.0",
        "1.04.0",
        "1.4.0-01",
        "1.4.0-",
        "1.4.0-a..b",
        "1.4.0+",
        "1.4.0-ä",
        " 1.4.0",
        "1.4.0\n",
        "1.4.0-a b",
        "1.4.\u0664",
        "-1.4.0",
        "latest",
        "../1.4.0",
    ],
)
def test_a_text_that_is_no_semantic_version_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a release number") as caught:
        parse_release(text)
    assert "1.4.0" in (caught.value.hint or "")


def test_a_release_number_has_at_most_64_characters() -> None:
    assert parse_release("1.0.0-" + "a" * 58).major == 1
    with pytest.raises(ConfigurationError) as caught:
        parse_release("1.0.0-" + "a" * 59)
    assert "at most 64 characters" in (caught.value.hint or "")


def test_what_is_no_text_is_refused_like_any_other() -> None:
    with pytest.raises(ConfigurationError, match="'5' is not a release number"):
        parse_release(5)  # type: ignore[arg-type]
