"""An HTTP server on this machine that misbehaves as the path of a request asks."""

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
    """Serves `content`.

    requests: how many requests came, by behaviour.
    ranges: the Range headers that came, in their order.
    encodings: the Accept-Encoding headers that came, in their order.
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.requests: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.encodings: list[str | None] = []

    def url(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{behaviour}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        behaviour = urlsplit(self.path).path.strip("/")
        self.server.requests[behaviour] += 1
        self.server.encodings.append(self.headers.get("Accept-Encoding"))
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

    def break_off(self) -> None:
        """Send the first half, then reset the connection instead of closing it in good order."""
        self.send(self.server.content[: len(self.server.content) // 2], length=1 << 20)
        self.wfile.flush()
        time.sleep(0.1)  # a reset discards what the client has not read yet
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    # The behaviours follow, each named as its path; `count` is the number of the request to it.

    def good(self, count: int) -> None:
        self.send(self.server.content)

    def says_gzip(self, count: int) -> None:
        """Declare the archive's own compression as that of the transfer."""
        self.send(self.server.content, Content_Encoding="gzip")

    def not_found(self, count: int) -> None:
        self.send(b"no", 404)

    def login_page(self, count: int) -> None:
        self.send(b"<!DOCTYPE html><title>Log in to the hotel's network</title>")

    def busy_twice(self, count: int) -> None:
        self.send(b"later", 503) if count <= 2 else self.send(self.server.content)

    def busy(self, count: int) -> None:
        self.send(b"later", 503)

    def too_many_requests(self, count: int) -> None:
        self.send(b"later", 429)

    def always_breaks_off(self, count: int) -> None:
        self.break_off()

    def breaks_off_then_continues(self, count: int) -> None:
        """Break off half-way, then continue from wherever the client asks."""
        if count == 1:
            self.break_off()
            return
        content = self.server.content
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send(content[start:], 206, Content_Range=span)

    def breaks_off_then_restarts(self, count: int) -> None:
        """Break off half-way, then ignore the range and begin again."""
        self.break_off() if count == 1 else self.send(self.server.content)

    def breaks_off_then_refuses(self, count: int) -> None:
        """Break off half-way, refuse the range, then send the whole file."""
        if count == 1:
            self.break_off()
        elif count == 2:
            self.send(b"no such range", 416)
        else:
            self.send(self.server.content)

    def truncated(self, count: int) -> None:
        self.send(self.server.content[:-1000])

    def promises_more(self, count: int) -> None:
        self.send(self.server.content, length=len(self.server.content) + 1000)
        self.close_connection = True

    def promises_less(self, count: int) -> None:
        self.send(self.server.content, length=len(self.server.content) - 1000)
        self.close_connection = True

    def flipped_bit(self, count: int) -> None:
        content = bytearray(self.server.content)
        content[len(content) // 2] ^= 1
        self.send(bytes(content))

    def redirect_loop(self, count: int) -> None:
        self.send(b"", 302, Location=self.path)

    def trickles(self, count: int) -> None:
        self.send(b"", length=1 << 20)
        for _ in range(100):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def hangs(self, count: int) -> None:
        time.sleep(5)

    def sends_too_much(self, count: int) -> None:
        """Send 64 MB without saying how much it will be."""
        self.send_response(200)
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(bytes(1 << 16))
        self.close_connection = True


@contextmanager
def serve(content: bytes) -> Iterator[Server]:
    """Run a server while the context lasts."""
    server = Server(content)
    # Look for the end of the context every 10 ms.
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
