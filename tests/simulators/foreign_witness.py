"""Another project's witness, written from the texts of C2SP alone (tlog-witness, tlog-cosignature, signed-note).

It uses nothing of this project. Like the public witnesses of today it has two keys: ML-DSA-44, whose line
comes first, and Ed25519. It can be set to answer with faults.
"""

from __future__ import annotations

import base64
import struct
import time
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from tests.simulators.local_server import LocalServer, QuietHandler

RUBBISH = {
    "empty": b"",
    "not text": b"\xff\xfe\x00",
    "a page": b"<html>200 OK</html>\n",
    "no line end": "— x AAAA".encode(),
    "huge": b"x" * (8 << 20),
}


class ForeignWitness(LocalServer):
    """Serves on a free port until closed. ``mood`` is how it answers; the sizes it cosigned are ``seen``."""

    def __init__(self, name: str = "omni.witness.example/w1") -> None:
        self.name = name
        self.mood = "well"
        self.seen = 0
        self.asked = 0
        self._ed25519 = Ed25519PrivateKey.generate()
        self._mldsa = MLDSA44PrivateKey.generate()
        witness = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                witness.asked += 1
                if witness.mood == "drip":
                    self._drip()
                    return
                status, kind, answer = witness.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def _drip(self) -> None:
                try:
                    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 400:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(0.1)
                except OSError:
                    self.close_connection = True

        self.serve(Handler)

    @property
    def vkey(self) -> str:
        """The verifier key of the Ed25519 cosignature (type 4)."""
        return self._vkey(4, self._ed25519.public_key().public_bytes_raw())

    @property
    def post_quantum_vkey(self) -> str:
        """The ML-DSA-44 cosignature key (type 6)."""
        return self._vkey(6, self._mldsa.public_key().public_bytes_raw())

    def _vkey(self, kind: int, public: bytes) -> str:
        material = base64.b64encode(bytes([kind]) + public).decode()
        return f"{self.name}+{self._key_id(kind, public).hex()}+{material}"

    def _key_id(self, kind: int, public: bytes) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]

    def answer(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Status, content type and body for an add-checkpoint request."""
        if self.mood in RUBBISH:
            return 200, "text/plain", RUBBISH[self.mood]
        if path != "/add-checkpoint":
            return 404, "text/plain", b""
        head, _, note = body.partition(b"\n\n")
        old = int(head.split(b"\n")[0].removeprefix(b"old "))
        text = note.rpartition(b"\n\n")[0] + b"\n"
        origin, size, root = text.decode().split("\n")[:3]
        if old != self.seen:
            return 409, "text/x.tlog.size", f"{self.seen}\n".encode()
        if self.mood == "fork":
            return 422, "text/plain", b"the consistency proof does not verify\n"
        self.seen = int(size)
        moods = {"no time": 0, "next week": int(time.time()) + 7 * 86_400, "no date": (1 << 63) - 1}
        now = moods.get(self.mood, int(time.time()))
        lines = self.post_quantum_line(origin, int(size), base64.b64decode(root), now)
        if self.mood != "post-quantum only":
            lines += self.line(text, now)
        if self.mood == "twice":
            lines += self.line(text, now)
        if self.mood == "wrong signature":
            lines += self.line(text + b"x", now)
        return 200, "text/plain; charset=utf-8", lines.encode()

    def line(self, text: bytes, now: int) -> str:
        """The Ed25519 cosignature of a note's text."""
        signature = self._ed25519.sign(b"cosignature/v1\ntime %d\n" % now + text)
        return self._line(4, self._ed25519.public_key().public_bytes_raw(), now, signature)

    def post_quantum_line(self, origin: str, size: int, root: bytes, now: int) -> str:
        """The ML-DSA-44 cosignature of a head."""
        name, of = self.name.encode(), origin.encode()
        message = b"subtree/v1\n\0" + bytes([len(name)]) + name + struct.pack(">Q", now)
        message += bytes([len(of)]) + of + struct.pack(">QQ", 0, size) + root
        return self._line(6, self._mldsa.public_key().public_bytes_raw(), now, self._mldsa.sign(message))

    def _line(self, kind: int, public: bytes, now: int, signature: bytes) -> str:
        payload = self._key_id(kind, public) + struct.pack(">Q", now) + signature
        return f"— {self.name} {base64.b64encode(payload).decode()}\n"
