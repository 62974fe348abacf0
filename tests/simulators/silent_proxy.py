"""A TCP proxy that can fall silent: connections stay open, nothing is passed on and nothing is closed."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class SilentProxy:
    """Before ``upstream``. `fall_silent` stills the connections there are; later ones are passed on unless ``new`` is stilled too."""

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
        """Every connection there is passes nothing on any more."""
        self._new_too = new
        self._silent |= set(range(len(self._pairs)))

    def speak(self) -> None:
        """Connections that are made from now on are passed on."""
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
