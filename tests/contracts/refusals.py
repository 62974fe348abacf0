"""``with refused("Forked", ...)``: the block must revert with this error of the contract."""

from __future__ import annotations

from typing import Any

from contracts_harness import Reverted


class refused:
    """The block must revert with this error, and with these values when they are given."""

    def __init__(self, name: str, *values: Any) -> None:
        self._name, self._values = name, values

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> bool:
        assert isinstance(error, Reverted), f"expected {self._name}, got {error!r}"
        assert error.name == self._name, error
        if self._values:
            assert error.arguments == self._values, error
        return True
