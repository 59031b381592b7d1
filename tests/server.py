"""An HTTP server on this machine that misbehaves as the path of a request asks."""

import http.server
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import Message


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; `requests` has the headers of all requests, by behaviour.

    Its clock goes on only when a behaviour moves it, or when somebody sleeps. So no test depends on
    how busy this machine is.
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.requests: dict[str, list[Message]] = {}
        self.now, self.was_asked, self.ends = 0.0, threading.Event(), threading.Event()

    def url(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{behaviour}"

    def monotonic(self) -> float:
        self.was_asked.set()
        return self.now

    def sleep(self, seconds: float) -> None:
        """Sleep ten times as long, so that fewer requests reach a limit."""
        self.now += 10 * seconds


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        behaviour = self.path.strip("/")
        requests = self.server.requests.setdefault(behaviour, [])
        requests.append(self.headers)
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, behaviour)(len(requests))

    def log_message(self, *_: object) -> None:
        pass

    def send(self, content: bytes, status: int = 200, length: int = 0, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(content)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = bool(length)

    def send_in_hours(self, first: bytes, rest: bytes) -> None:
        """Send the rest an hour after the client began to measure the time."""
        self.server.was_asked.clear()
        self.send(first, length=len(first + rest))
        self.server.was_asked.wait()
        self.server.now += 3600
        self.wfile.write(rest)

    # The behaviours follow, each named as its path; `count` is the number of the request to it.

    def good(self, count: int) -> None:
        """Declare the archive's own compression as that of the transfer, as some servers do."""
        self.send(self.server.content, Content_Encoding="gzip")

    def not_found(self, count: int) -> None:
        self.send(b"no", 404)

    def login_page(self, count: int) -> None:
        self.send(b"<!DOCTYPE html><title>Log in to the hotel's network</title>")

    def endless(self, count: int) -> None:
        self.send(bytes(4_000_000))

    def hangs(self, count: int) -> None:
        self.server.ends.wait()

    def slow(self, count: int) -> None:
        half = len(self.server.content) // 2
        self.send_in_hours(self.server.content[:half], self.server.content[half:])

    def trickles(self, count: int) -> None:
        self.send_in_hours(b"", bytes(50))

    def breaks_off(self, count: int) -> None:
        """Send the first half, then reset the connection instead of closing it in good order."""
        self.send(self.server.content[: len(self.server.content) // 2], length=1 << 20)
        self.wfile.flush()
        time.sleep(0.1)  # some systems discard at a reset what the client has not read yet
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def breaks_off_then_continues(self, count: int) -> None:
        """Break off half-way, be busy, then continue from wherever the client asks."""
        content = self.server.content
        if count == 1:
            self.breaks_off(count)
        elif count == 2:
            self.send(b"later", 503)
        else:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send(content[start:], 206, Content_Range=span)

    def breaks_off_and_vanishes(self, count: int) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.breaks_off(count)

    def breaks_off_then_restarts(self, count: int) -> None:
        """Break off, then ignore the range and begin again."""
        self.breaks_off(count) if count == 1 else self.good(count)


@contextmanager
def serve(content: bytes) -> Iterator[Server]:
    """Run a server while the context lasts."""
    server = Server(content)
    # Look for the end of the context every 10 ms.
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.ends.set()
        server.shutdown()
        server.server_close()
