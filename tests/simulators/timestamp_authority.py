"""An RFC 3161 timestamp authority: real answers made by ``openssl ts``, over real HTTP, with the faults a test wants."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"

_CONFIG = """
[req]
distinguished_name=dn
prompt=no
[dn]
CN=Time of the city
[root]
basicConstraints=critical,CA:true
keyUsage=critical,keyCertSign
subjectKeyIdentifier=hash
[leaf]
basicConstraints=critical,CA:false
extendedKeyUsage=critical,timeStamping
keyUsage=critical,digitalSignature
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
[tsa]
default_tsa=t
[t]
serial={0}/serial
signer_cert={0}/leaf.pem
signer_key={0}/leaf.key
signer_digest=sha256
default_policy=1.2.3.4
digests=sha256,sha512
accuracy=secs:1
ess_cert_id_chain=no
ordering=no
tsa_name=no
"""


class TimestampAuthority:
    """A root, a certificate for timestamping, and answers. ``root_file`` is what a client pins."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        (folder / "tsa.cnf").write_text(_CONFIG.format(folder))
        key = ["-newkey", "rsa:2048", "-nodes"]
        self._openssl("req", "-x509", *key, "-keyout", "root.key", "-out", "root.pem", "-days", "30",
                      "-config", "tsa.cnf", "-extensions", "root")  # fmt: skip
        self._openssl("req", *key, "-keyout", "leaf.key", "-out", "leaf.csr", "-config", "tsa.cnf",
                      "-subj", "/CN=Clock of the city")  # fmt: skip
        self._openssl("x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key",
                      "-CAcreateserial", "-days", "30", "-out", "leaf.pem", "-extfile", "tsa.cnf",
                      "-extensions", "leaf")  # fmt: skip
        self.root_file = folder / "root.pem"
        self.root = x509.load_pem_x509_certificate(self.root_file.read_bytes())
        self._alone = threading.Lock()

    def answer(self, request: bytes) -> bytes:
        """The DER TimeStampResp to a DER TimeStampReq."""
        with self._alone:
            (self.folder / "q").write_bytes(request)
            self._openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q", "-out", "r")
            return (self.folder / "r").read_bytes()

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, cwd=self.folder, capture_output=True)


class TimestampServer:
    """The authority on a socket. Set ``authority`` to change who answers, ``replay`` to send an old answer again."""

    def __init__(self, authority: TimestampAuthority, port: int = 0) -> None:
        self.authority = authority
        self.replay: bytes | None = None
        self.last = b""
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked += 1
                request = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Type"] != QUERY:
                    self.send_error(415)
                    return
                body = outer.replay or outer.authority.answer(request)
                outer.last = body
                self.send_response(200)
                self.send_header("Content-Type", REPLY)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/tsr"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop the server; connections are refused from then on."""
        self._server.shutdown()
        self._server.server_close()
