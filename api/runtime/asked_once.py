"""A question that may hang: asked once at a time on its own thread, and waited for with a limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class AskedOnce(Generic[T]):
    """Asks one question on its own thread, named ``name``. Callers share the question that is being asked, so a part that
    hangs holds one thread. Thread-safe."""

    def __init__(self, name: str, question: Callable[[], T]) -> None:
        self._name = name
        self._question = question
        self._lock = threading.Lock()
        self._asked: Future[T] | None = None

    def begin(self) -> Future[T]:
        """The question that is being asked; a new one if the last one was answered."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                threading.Thread(
                    target=self._answer, args=(self._asked,), name=self._name, daemon=True
                ).start()
            return self._asked

    def _answer(self, asked: Future[T]) -> None:
        try:
            asked.set_result(self._question())
        except BaseException as failed:  # noqa: BLE001 - raised where it is waited for
            asked.set_exception(failed)
