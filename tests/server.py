"""A real HTTP server on this machine that misbehaves as it is told."""

import http.server
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.requests: Counter[str] = Counter()
        self.ranges: list[str] = []  # the Range headers that came

    def url(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{behaviour}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        behaviour = urlsplit(self.path).path.strip("/")
        self.server.requests[behaviour] += 1
        if (wanted := self.headers.get("Range")) is not None:
            self.server.ranges.append(wanted)
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, behaviour)(self.server.requests[behaviour])

    def log_message(self, *_: object) -> None:
        pass

    def send(self, content: bytes, status: int = 200, length: int = 0, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(content)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def reset(self) -> None:
        """Close with a reset rather than in good order."""
        self.wfile.flush()
        time.sleep(0.1)  # a reset takes back what has not been read yet
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    # What follows are the behaviours, named as the path; `count` tells which request it is.

    def good(self, count: int) -> None:
        self.send(self.server.content)

    def missing(self, count: int) -> None:
        self.send(b"no", 404)

    def html(self, count: int) -> None:
        self.send(b"<!DOCTYPE html><title>Log in to the hotel's network</title>")

    def busy_twice(self, count: int) -> None:
        self.send(b"later", 503) if count <= 2 else self.send(self.server.content)

    def busy(self, count: int) -> None:
        self.send(b"later", 503)

    def resets_half_way(self, count: int) -> None:
        self.send(self.server.content[: len(self.server.content) // 2], length=1 << 20)
        self.reset()

    def resumes(self, count: int) -> None:
        """Break off half-way, then go on from wherever the client says."""
        content = self.server.content
        if count == 1:
            self.send(content[: len(content) // 2], length=len(content))
            self.reset()
        else:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send(content[start:], 206, Content_Range=span)

    def restarts(self, count: int) -> None:
        """Break off half-way, then begin anew, for want of ranges."""
        content = self.server.content
        if count == 1:
            self.send(content[: len(content) // 2], length=len(content))
            self.reset()
        else:
            self.send(content)

    def truncated(self, count: int) -> None:
        self.send(self.server.content[:-1000])

    def promises_more(self, count: int) -> None:
        self.send(self.server.content, length=len(self.server.content) + 1000)
        self.close_connection = True

    def promises_less(self, count: int) -> None:
        self.send(self.server.content, length=len(self.server.content) - 1000)
        self.close_connection = True

    def wrong_bytes(self, count: int) -> None:
        content = bytearray(self.server.content)
        content[len(content) // 2] ^= 1
        self.send(bytes(content))

    def circle(self, count: int) -> None:
        self.send(b"", 302, Location=self.path)

    def drips(self, count: int) -> None:
        self.send(b"", length=1 << 20)
        for _ in range(100):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def hangs(self, count: int) -> None:
        time.sleep(5)

    def endless(self, count: int) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(bytes(1 << 16))


@contextmanager
def serve(content: bytes) -> Iterator[Server]:
    server = Server(content)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
