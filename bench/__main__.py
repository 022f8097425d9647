"""All benchmarks, with their tables put into bench/README.md: ``python bench``.

One server for all of them: thousands of files that one run has just deleted would slow the next
(databases.py).
"""

from __future__ import annotations

import apply
import latency
from databases import embedded_server
from page import publish

COMMAND = "make bench"


def main() -> None:
    """Measure everything, then write the page."""
    with embedded_server() as server:
        sections = {
            "apply.py": apply.bench(server, COMMAND, [1, 100, 1000], 5),
            "latency.py": latency.bench(server, COMMAND, [0, 1, 5], 3, 1000, 100),
        }
    for name, text in sections.items():
        publish(name, text, write=True)


if __name__ == "__main__":
    main()
