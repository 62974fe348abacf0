"""A server of tiles that claims a log of any length: all entries are equal, so the tree costs nothing."""

from __future__ import annotations

import time
from functools import cache
from hashlib import sha256

from tests.ledger.audit.by_hand import Key, b64, h, note
from tests.simulators.local_server import LocalServer, QuietHandler

ORIGIN = "uniform.example/log"
WIDTH = 256


class UniformLog(LocalServer):
    """Serves until closed. ``sent`` counts bytes of tiles, ``asked`` their requests. It waits ``pause_s``
    before a tile and, if ``drips`` is set, before every byte of it."""

    def __init__(self, size: int, entry: bytes = b"{}", *, pause_s: float = 0.0, drips: bool = False) -> None:
        self.sent = self.asked = 0
        leaf, key = h(0, entry), Key(ORIGIN)

        @cache
        def root(count: int) -> bytes:
            if count == 1:
                return leaf
            split = 1 << ((count - 1).bit_length() - 1)
            return sha256(b"\x01" + root(split) + root(count - split)).digest()

        checkpoint = note(f"{ORIGIN}\n{size}\n{b64(root(size))}\n", key).encode()

        def tile(path: str) -> bytes:
            level, width = path.split("/")[1], int(path.partition(".p/")[2] or WIDTH)
            if level == "entries":
                return (len(entry).to_bytes(2, "big") + entry) * width
            return root(WIDTH ** int(level)) * width

        log = self

        class Handler(QuietHandler):
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                body = checkpoint if path == "checkpoint" else tile(path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if path == "checkpoint":
                    self.wfile.write(body)
                    return
                log.asked += 1
                time.sleep(pause_s)
                for part in [body[at : at + 1] for at in range(len(body))] if drips else [body]:
                    log.sent += len(part)
                    try:
                        self.wfile.write(part)
                    except OSError:
                        self.close_connection = True
                        return
                    if drips:
                        time.sleep(pause_s)

        self.serve(Handler)
