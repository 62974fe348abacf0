"""A TCP proxy that can become silent: connections stay open, and nothing is forwarded or closed."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class SilentProxy:
    """A proxy in front of ``upstream``. `fall_silent` silences the existing connections; later ones are
    forwarded unless ``new`` is set too."""

    def __init__(self, upstream: tuple[str, int] | str) -> None:
        """An address and port, or the path of a local socket."""
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._silent: set[int] = set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._new_too = False
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self, *, new: bool = False) -> None:
        """Stop forwarding on every existing connection."""
        self._new_too = new
        self._silent |= set(range(len(self._pairs)))

    def speak(self) -> None:
        """Forward on new connections."""
        self._new_too = False

    def close(self) -> None:
        for one in (self._listener, *(end for pair in self._pairs for end in pair)):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = self._reached()
                number = len(self._pairs)
                self._pairs.append((near, far))
                if self._new_too:
                    self._silent.add(number)
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(number, source, target), daemon=True).start()

    def _reached(self) -> socket.socket:
        if not isinstance(self._upstream, str):
            return socket.create_connection(self._upstream)
        far = socket.socket(socket.AF_UNIX)
        far.connect(self._upstream)
        return far

    def _pass(self, number: int, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if number not in self._silent:
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
