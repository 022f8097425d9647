"""A chat message as a picture: Block Kit to HTML that looks like Slack, and a browser's shot of it.

For the documentation only: ``python -m turnback.demo.picture MESSAGE.json PICTURE.png``. Slack's
own look is at https://app.slack.com/block-kit-builder, where the same JSON can be pasted.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnback.errors import ConfigurationError, TurnbackError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=2",
)
WIDTH = 760
SECONDS = 60

PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><style>
* {{ box-sizing: border-box; }}
body {{ margin: 0; padding: 20px 24px; width: {width}px; background: #fff; color: #1d1c1d;
  font: 15px/1.46 Lato, "Liberation Sans", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }}
.message {{ display: flex; gap: 10px; }}
.message + .message {{ margin-top: 22px; }}
.face {{ flex: none; width: 36px; height: 36px; border-radius: 6px; background: #1f4e5f;
  color: #fff; font-size: 22px; line-height: 36px; text-align: center; }}
.body {{ flex: 1; min-width: 0; }}
.who b {{ font-weight: 900; }}
.app {{ margin: 0 6px; padding: 1px 4px; border-radius: 3px; background: #e8e8e8; color: #616061;
  font-size: 10px; font-weight: 700; }}
.when {{ color: #616061; font-size: 12px; }}
h1 {{ margin: 8px 0 4px; font-size: 18px; line-height: 1.35; }}
.section, .fields, .actions {{ margin: 8px 0; overflow-wrap: anywhere; }}
.fields {{ display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px; }}
code {{ padding: 2px 3px 1px; border: 1px solid #dcdcdc; border-radius: 3px; background: #f7f7f7;
  color: #c01343; font: 12px/1.5 "DejaVu Sans Mono", monospace; }}
pre {{ margin: 4px 0; padding: 8px; border: 1px solid #dcdcdc; border-radius: 4px;
  background: #f8f8f8; white-space: pre-wrap; font: 12px/1.5 "DejaVu Sans Mono", monospace; }}
.context {{ margin: 8px 0 0; color: #616061; font-size: 12px; }}
.button {{ display: inline-block; margin-right: 8px; padding: 4px 12px; border: 1px solid #bbb;
  border-radius: 4px; font-size: 13px; font-weight: 700; }}
.primary {{ border-color: #007a5a; background: #007a5a; color: #fff; }}
.danger {{ border-color: #e01e5a; background: #e01e5a; color: #fff; }}
</style></head><body>{messages}
<script>document.body.dataset.height = Math.ceil(document.body.getBoundingClientRect().height)
</script></body></html>
"""


def page(messages: Sequence[Mapping[str, Any]]) -> str:
    """An HTML page with these messages one under the other."""
    return PAGE.format(width=WIDTH, messages="".join(map(_message, messages)))


def draw(messages: Sequence[Mapping[str, Any]], picture: Path) -> None:
    """Write the messages as a PNG, as high as they are.

    Args:
        messages: of Block Kit, as they were posted.
        picture: the file.

    Raises:
        ConfigurationError: there is no Chromium here, or it drew nothing.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise ConfigurationError(
            f"there is none of {', '.join(BROWSERS)} here",
            hint="install Chromium (apt install chromium); nothing but the picture needs it",
        )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "message.html")
        source.write_text(page(messages), encoding="utf-8")
        address, data = source.as_uri(), f"--user-data-dir={folder}/profile"
        seen = _run([browser, *FLAGS, data, f"--window-size={WIDTH},800", "--dump-dom", address])
        height = re.search(r'data-height="(\d+)"', seen)
        if height is None:
            raise ConfigurationError("the browser did not show the page", hint=seen[:500])
        shot = Path(folder, "shot.png")
        size = f"--window-size={WIDTH},{height[1]}"
        told = _run([browser, *FLAGS, data, size, f"--screenshot={shot}", address])
        if not shot.is_file():
            raise ConfigurationError("the browser drew no picture", hint=told[:500])
        shutil.copyfile(shot, picture)


def main(arguments: Sequence[str]) -> int:
    """The command: a file with one message, or a list of them, and the picture to write."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m turnback.demo.picture MESSAGE.json PICTURE.png\n")
        return 2
    try:
        read = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        draw(read if isinstance(read, list) else [read], Path(arguments[1]))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return 2
    except TurnbackError as error:
        sys.stderr.write(f"{error}\n{error.hint}\n")
        return error.exit_code
    return 0


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=SECONDS, errors="replace"
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(
            f"{command[0]} did not end in {SECONDS} s", hint="try again on a machine less busy"
        ) from error
    return done.stdout or done.stderr


def _message(message: Mapping[str, Any]) -> str:
    blocks = "".join(map(_block, message.get("blocks") or ()))
    shown = blocks or f'<div class="section">{marked(str(message.get("text", "")))}</div>'
    return (
        '<div class="message"><div class="face">↩</div><div class="body">'
        '<div class="who"><b>turnback</b><span class="app">APP</span>'
        f"</div>{shown}</div></div>"
    )


def _block(block: Mapping[str, Any]) -> str:
    kind = block["type"]
    if kind == "header":
        return f"<h1>{html.escape(block['text']['text'])}</h1>"
    if kind == "context":
        told = " ".join(marked(item["text"]) for item in block["elements"])
        return f'<div class="context">{told}</div>'
    if kind == "actions":
        return f'<div class="actions">{"".join(map(_button, block["elements"]))}</div>'
    if "fields" in block:
        told = "".join(f"<div>{marked(item['text'])}</div>" for item in block["fields"])
        return f'<div class="fields">{told}</div>'
    return f'<div class="section">{marked(block["text"]["text"])}</div>'


def _button(button: Mapping[str, Any]) -> str:
    style = html.escape(button.get("style", ""))
    return f'<span class="button {style}">{html.escape(button["text"]["text"])}</span>'


def marked(text: str) -> str:
    """Slack's markup as HTML: ``*bold*``, `` `code` ``, blocks of code, lines."""
    safe = html.escape(html.unescape(text), quote=False)
    parts = re.split(r"```(.*?)```\n?", safe, flags=re.DOTALL)
    return "".join(
        f"<pre>{part}</pre>" if index % 2 else _inline(part) for index, part in enumerate(parts)
    )


def _inline(text: str) -> str:
    parts = re.split(r"`([^`\n]+)`", text)
    told = "".join(
        f"<code>{part}</code>"
        if index % 2
        else re.sub(r"(?<!\w)\*([^*\n]+)\*(?!\w)", r"<b>\1</b>", part)
        for index, part in enumerate(parts)
    )
    return told.strip("\n").replace("\n", "<br>")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
