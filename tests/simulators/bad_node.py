"""A node that forwards calls to a good one, correctly or, when set, with faults."""

from __future__ import annotations

import http.client
import multiprocessing
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

GOOD, WRONG, LATE, STALLED = range(4)
"""The moods of a node: good; wrong in every sixth answer; late with every sixth; very late with all."""

SLOW_S = 2.0
"""The delay of a late answer, in seconds."""

STALLED_S = 8.0
"""The delay of every answer of a stalled node, in seconds: less than the time limit of a call."""

NO_ANSWERS = (
    b'{"jsonrpc": "2.0", "id": 1, "result": ',
    b'{"jsonrpc": "2.0", "id": 1, "result": {"number": [], "hash": 7}}',
    b"\xff" * 100_000,
    b"[" * 50_000,
)


class BadNode:
    """A separate process in front of the node at ``node``. ``asked`` counts calls while its mood is not
    `GOOD`."""

    def __init__(self, node: str) -> None:
        context = multiprocessing.get_context("fork")
        self._how, self._asked = context.Value("b", GOOD), context.Value("l", 0)
        asked, how = self._asked, self._how

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # In two pieces, the second would wait 40 ms for the acknowledgement of the first.
            line: http.client.HTTPConnection | None = None

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                number = 0
                if how.value != GOOD:
                    with asked.get_lock():
                        asked.value += 1
                        number = asked.value
                due = number > 0 and number % 6 == 0
                if due and how.value == WRONG:
                    answer = NO_ANSWERS[number // 6 % len(NO_ANSWERS)]
                else:
                    answer = self._passed_on(body)
                if how.value == STALLED:
                    time.sleep(STALLED_S)
                elif due and how.value == LATE:
                    time.sleep(SLOW_S)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def _passed_on(self, body: bytes) -> bytes:
                if self.line is None:
                    self.line = http.client.HTTPConnection(urlsplit(node).netloc, timeout=20)
                self.line.request("POST", "/", body, {"Content-Type": "application/json"})
                return self.line.getresponse().read()

            def log_message(self, format: str, *args: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                return  # The caller did not wait.

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._process = context.Process(target=self._server.serve_forever, daemon=True)
        self._process.start()
        self._server.server_close()

    @property
    def asked(self) -> int:
        return int(self._asked.value)

    def be(self, how: int) -> None:
        """Set the mood: `GOOD`, `WRONG`, `LATE` or `STALLED`."""
        self._how.value = how

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()
