"""moto for another process: what it sends over HTTP is answered by the moto of this one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from moto.core.models import botocore_stubber


class _Bridge(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # The service that is meant stands in the signature: …/20261122/us-east-1/s3/aws4_request.
        region, service = self.headers["Authorization"].split("/")[2:4]
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        asked = requests.Request(
            self.command, f"https://{service}.{region}.amazonaws.com{self.path}", headers, data=body
        )
        status, answered, content = botocore_stubber.process_prepared_request(asked.prepare())  # type: ignore[misc]
        content = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        for name, value in answered.items():
            if name.lower() not in ("content-length", "date", "server", "transfer-encoding"):
                self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def bridge() -> Iterator[str]:
    """The address that stands for AWS, as long as the block lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Bridge) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
