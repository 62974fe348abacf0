"""Attackers in a separate process, so that their processor time can be distinguished from the service's."""

from __future__ import annotations

import multiprocessing
import resource
import socket
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from api.demo.governing import AIR_POLICY
from api.sdk.transport import ServiceKey
from tests.simulators.slow_reader import SlowReader, connect

ALL = {"columns": ["station_id", "district", "measured_at", "pm25"]}


class Attack:
    """Slow readers of some departments, half-open connections, and oversized bodies, until `stop`.

    The readers of every second department disconnect when the next but one has begun; the others stay.
    ``made`` counts the attacks of each kind and the readers by status; ``cpu_s`` is the attackers' processor
    time in seconds.
    """

    def __init__(self, url: str, keys: list[ServiceKey]) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(target=_run, args=(url, keys, theirs))
        self._process.start()
        self.made: Counter[str] = Counter()
        self.cpu_s = 0.0

    def stop(self) -> None:
        """Stop the attack and read its figures."""
        self._ours.send(None)
        self.made, self.cpu_s = self._ours.recv()
        self._process.join()


def cpu_seconds(pid: int) -> tuple[float, float]:
    """The processor time of a process and its children, including ended ones."""
    own, ended = _ticks(pid)
    living = 0
    for child in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for one in child.read_text().split():
                with suppress(OSError):
                    living += sum(_ticks(int(one)))
    return own / 100, (ended + living) / 100


def _ticks(pid: int) -> tuple[int, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


def _run(url: str, keys: list[ServiceKey], line: Connection) -> None:
    over, made, counting = threading.Event(), Counter[str](), threading.Lock()
    held: list[socket.socket] = []

    def count(what: str) -> None:
        with counting:
            made[what] += 1

    def slow_reader(name: str, key: ServiceKey, own: list[socket.socket], most: int) -> None:
        reader = SlowReader(url, key, "6.1", AIR_POLICY, ALL)
        count(f"{name} {reader.status}")
        own.append(reader.line)
        while len(own) > most:
            own.pop(0).close()

    def half_open() -> None:
        one = connect(url, source="127.0.0.7")
        held.append(one)
        one.sendall(b"POST /v1/read HTTP/1.1\r\nHost: ")

    def oversized() -> None:
        with connect(url, source="127.0.0.8") as one:
            one.sendall(b"POST /v1/read HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
            one.sendall(b"x" * 500_000)

    def again(name: str, attack: Callable[[], None], pause: float) -> None:
        while not over.wait(pause):
            count(name)
            try:
                attack()
            except (OSError, AssertionError):
                continue  # The service closed it.

    kinds: list[tuple[str, Callable[[], None], float]] = [
        ("half-open", half_open, 0.02),
        ("oversized", oversized, 0.1),
    ]
    readers: list[list[socket.socket]] = [[] for _ in keys]
    for number, key in enumerate(keys):
        name = f"slow {key.key_id.split(':')[0]}"
        most = 2 if number % 2 else 1_000
        kinds.append((name, partial(slow_reader, name, key, readers[number], most), 0.4))
    threads = [threading.Thread(target=again, args=kind) for kind in kinds]
    for thread in threads:
        thread.start()
    line.recv()
    over.set()
    for thread in threads:
        thread.join()
    for one in (*held, *(each for own in readers for each in own)):
        one.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    line.send((made, used.ru_utime + used.ru_stime))
