"""A receiver of webhooks on loopback: it keeps what it is sent and answers as it is told."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass(frozen=True)
class Got:
    headers: dict[str, str]
    body: bytes
    path: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def events(self) -> list[dict[str, Any]]:
        return orjson.loads(self.body)["data"]["events"]


Answer = Callable[[BaseHTTPRequestHandler], None]


def takes(handler: BaseHTTPRequestHandler) -> None:
    answers(204)(handler)


def answers(status: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


def closes(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.close()


def says_nothing(seconds: float) -> Answer:
    """Lets the sender wait until it hangs up, at most so long."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.settimeout(seconds)
        with suppress(OSError):
            handler.rfile.read(1)
        handler.close_connection = True

    return answer


def drips(handler: BaseHTTPRequestHandler) -> None:
    """Sends a header without end, a letter at a time, so that no single read takes long."""
    handler.close_connection = True
    waits = threading.Event()
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-endless: ")
        while not waits.wait(0.02):
            handler.wfile.write(b"x")
    except OSError:
        pass


@dataclass
class Receiver:
    """`then` are the answers to the next messages, in their order; later ones get `always`."""

    always: Answer = takes
    then: list[Answer] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    url: str = ""
    arrived: threading.Condition = field(default_factory=threading.Condition)

    talking: list[socket.socket] = field(default_factory=list)

    def hang_up(self) -> None:
        """On everyone who waits for an answer."""
        for connection in self.talking:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def seqs(self) -> list[int]:
        """Of all events, as they arrived."""
        return [event["seq"] for got in self.got for event in got.events]

    def wait(self, is_enough: Callable[[], bool], *, seconds: float = 60) -> None:
        with self.arrived:
            assert self.arrived.wait_for(is_enough, seconds), f"{len(self.got)} messages came"


@contextmanager
def receiving(*, tls: ssl.SSLContext | None = None, **given: Any) -> Iterator[Receiver]:
    receiver = Receiver(**given)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with receiver.arrived:
                receiver.got.append(Got({k.lower(): v for k, v in self.headers.items()}, body, self.path))
                answer = receiver.then.pop(0) if receiver.then else receiver.always
                receiver.talking.append(self.connection)
                receiver.arrived.notify_all()
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A sender that hung up is no fault."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    scheme, host = ("http", "127.0.0.1") if tls is None else ("https", "localhost")
    receiver.url = f"{scheme}://{host}:{server.server_port}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
