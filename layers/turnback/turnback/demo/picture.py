"""Draw a Slack message as SVG, for the documentation.

``python -m turnback.demo.picture MESSAGE.json PICTURE.svg``. The same message always gives the same
bytes, so that a test can compare docs/slack.svg with docs/slack.json. To see Slack's own rendering,
paste the JSON into https://app.slack.com/block-kit-builder.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape, unescape
from pathlib import Path
from typing import Any

WIDTH, LEFT, RIGHT = 760, 70, 736
BUTTON_COLORS = {"primary": "#007a5a", "danger": "#e01e5a"}
STYLE = """\
text { font-family: Helvetica, Arial, "Liberation Sans", "DejaVu Sans", sans-serif;
  font-size: 14px; fill: #1d1c1d; white-space: pre }
.header { font-size: 18px; font-weight: bold }
.bold { font-weight: bold }
.context { font-size: 12px; fill: #616061 }
.code, .block { font-family: "DejaVu Sans Mono", Menlo, monospace; font-size: 12px }
.code { fill: #c01343 }
.button { font-size: 13px; font-weight: bold; fill: #fff }"""
# Widths of Helvetica's characters, as parts of 15 pixels; all others are 0.56 wide. Text is drawn
# at 14 pixels, which leaves room for a wider font in its place.
_WIDTHS = {
    **dict.fromkeys("ijl'", 0.22),
    **dict.fromkeys(" fIt.,:;!/|[]", 0.28),
    **dict.fromkeys('r()-`"', 0.34),
    **dict.fromkeys("ABCDEFGHKLNPQRSTUVXYZw", 0.72),
    **dict.fromkeys("mMW%@…", 0.94),
}
_MARKUP = re.compile(r"`(?P<code>[^`\n]+)`|(?<!\w)\*(?P<bold>[^*\n]+)\*(?!\w)")


@dataclass(slots=True)
class _Canvas:
    """Collects the elements from top to bottom; ``y`` is the base line of the last text."""

    y: float = 38
    elements: list[str] = field(default_factory=list)

    def text(self, spans: list[tuple[str, str]], left: float, y: float, kind: str = "") -> None:
        inner = "".join(
            f'<tspan class="{style}">{escape(text)}</tspan>' if style else escape(text)
            for style, text in spans
        )
        cls = f' class="{kind}"' if kind else ""
        self.elements.append(f'<text x="{left:g}" y="{y:g}"{cls}>{inner}</text>')

    def box(self, left: float, top: float, size: tuple[float, float], style: str) -> None:
        width, height = size
        self.elements.append(
            f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="4" {style}/>'
        )

    def paragraphs(
        self, text: str, left: float = LEFT, right: float = RIGHT, kind: str = ""
    ) -> None:
        """Text with Slack's markup, wrapped; every second part between ``` is a block of code."""
        parts = re.split(r"\n?```(.*?)```\n?", unescape(text), flags=re.DOTALL)
        for number, part in enumerate(parts):
            block = number % 2 == 1
            inset = 10 if block else 0
            lines = [
                wrapped
                for line in part.split("\n" if part else "\0")
                for wrapped in wrap(line, right - left - 2 * inset, "block" if block else kind)
            ]
            height = 18 if block or kind == "context" else 21
            if block:
                size = (right - left, height * len(lines) + 12)
                self.box(left, self.y + 8, size, 'fill="#f8f8f8" stroke="#dcdcdc"')
                self.y += 10
            for spans in lines if part else []:
                self.y += height
                self.text(spans, left + inset, self.y, "block" if block else kind)
            self.y += 10 if block else 0


def draw(message: Mapping[str, Any]) -> str:
    """A message of Block Kit, or with only a text, as an SVG document."""
    canvas = _Canvas()
    canvas.box(24, 20, (36, 36), 'fill="#1f4e5f"')
    canvas.text([("button", "↩")], 35, 43)
    canvas.text([("bold", "turnback"), ("context", "  APP")], LEFT, 33)
    for block in message.get("blocks") or [{"type": "section", "text": message}]:
        _draw_block(canvas, block)
    height = round(canvas.y + 24)
    body = "\n".join(canvas.elements)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}">\n<style>\n{STYLE}\n</style>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def wrap(text: str, width: float, kind: str = "") -> Iterator[list[tuple[str, str]]]:
    """The lines of a paragraph, each as (style, text) spans.

    Args:
        text: without line breaks; its markup becomes styles.
        width: of the lines, in pixels.
        kind: of the text: a class of the style sheet. A ``block`` has no markup.
    """
    line: list[tuple[str, str]] = []
    used = 0.0
    for style, part in [("", text)] if kind == "block" else _styled(text):
        for word in re.findall(r" *[^ ]+| +$", part):
            rest = word
            while rest:
                size = _width(rest, style or kind)
                if used + size <= width:
                    line.append((style, rest))
                    used += size
                    break
                # A word that is wider than a line is cut.
                fits = 0 if line else max(int(len(rest) * width / size), 1)
                if fits:
                    line.append((style, rest[:fits]))
                yield line
                line, used, rest = [], 0.0, rest[fits:].lstrip(" ")
    yield line


def main(arguments: list[str]) -> None:
    """Read a message and write its picture."""
    message = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    Path(arguments[1]).write_text(draw(message), encoding="utf-8")


def _styled(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    for found in _MARKUP.finditer(text):
        yield "", text[at : found.start()]
        yield str(found.lastgroup), found[str(found.lastgroup)]
        at = found.end()
    yield "", text[at:]


def _width(text: str, style: str) -> float:
    if style in ("code", "block"):
        return len(text) * 7.25
    size = {"header": 18, "context": 12}.get(style, 15)
    # DejaVu Sans, which draws it where Helvetica is missing, is an eighth wider.
    wider = 1.22 if style in ("header", "bold") else 1.13
    return sum(_WIDTHS.get(character, 0.56) for character in text) * size * wider


def _draw_block(canvas: _Canvas, block: Mapping[str, Any]) -> None:
    canvas.y += 8
    if block["type"] == "header":
        canvas.paragraphs(block["text"]["text"], kind="header")
    elif block["type"] == "context":
        canvas.paragraphs(" ".join(item["text"] for item in block["elements"]), kind="context")
    elif block["type"] == "actions":
        left = float(LEFT)
        for button in block["elements"]:
            label = button["text"]["text"]
            width = _width(label, "bold") + 20
            color = BUTTON_COLORS.get(button.get("style", ""), "#616061")
            canvas.box(left, canvas.y + 6, (width, 28), f'fill="{color}"')
            canvas.text([("button", label)], left + 12, canvas.y + 25)
            left += width + 8
        canvas.y += 34
    elif "fields" in block:
        middle = (LEFT + RIGHT) / 2
        for number in range(0, len(block["fields"]), 2):
            top = lowest = canvas.y
            for column, item in enumerate(block["fields"][number : number + 2]):
                canvas.y = top
                left = middle + 8 if column else LEFT
                canvas.paragraphs(item["text"], left, RIGHT if column else middle - 8)
                lowest = max(lowest, canvas.y)
            canvas.y = lowest + 4
    else:
        canvas.paragraphs(block["text"]["text"])


if __name__ == "__main__":
    main(sys.argv[1:])
