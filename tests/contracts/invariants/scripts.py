"""The mutants of the machines, and the steps of the runs that detect them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from contracts_harness import HOUR, USE

from .switch import Broken

Step = tuple[str, dict[str, Any]]


REPLAY_FIRST: Final = 1


"""With this seed ``random`` chooses the first of two."""


@dataclass(frozen=True)
class Mutant(Broken):
    """A mutant that a run of the machine detects. The same run passes on the shipped contract."""

    invariant: int
    machine: str
    script: tuple[Step, ...]

    @property
    def focus(self) -> frozenset[str]:
        """The rules that a random run needs."""
        return frozenset(name for name, _ in self.script)


def step(name: str, **arguments: Any) -> Step:
    """One rule of a machine, with its arguments."""
    return name, arguments


def grant(**other: Any) -> Step:
    """Ten uses for an hour, to department 2, with room to delegate."""
    arguments = {"asset": 0, "grantee": 2, "right": USE, "window": (0, HOUR), "uses": 10, "depth": 2}
    return "grant", {**arguments, **other}


def handed_over(**other: Any) -> Step:
    """A hand-over that freezes at once, or the end of one."""
    arguments = {"freeze": 1, "then": HOUR}
    return "hand_over_or_call_off", {**arguments, **other}


def use(grant: int = 0, by: int = 1) -> Step:
    """A use of the nth grant, ``by`` more than before."""
    return step("use", seed=grant, step=by, who="holder attest")


def revoke(grant: int = 0) -> Step:
    """The nth grant, by the steward of the right's holder."""
    return step("revoke", seed=grant, who="steward", by="holder")


def add(roles: int, by: str, second: str = "") -> Step:
    """A new officer of department 1."""
    return step("add", roles=roles, by=by, department=1, whose=1, possession=True, second=second)


def glass(hours: int, asset: int = 1) -> Step:
    """A break-glass act of department 2."""
    return step("break_glass", department=2, hours=hours, role="emergency", asset=asset, bureau=False)


def delegate(**other: Any) -> Step:
    """From the nth grant with room to delegate, to department 3."""
    arguments = {"seed": 0, "grantee": 3, "wider": "", "share": 5, "late": 0}
    return "delegate", {**arguments, **other}


def propose(**other: Any) -> Step:
    """An honest head of the log without witnesses, nine entries later."""
    arguments = {"seed": 0, "kept": "all", "more": 9, "spoilt": "", "witnesses": (), "key": "1 attest"}
    return "propose", {**arguments, **other}


def commit(flaw: str = "") -> Step:
    """Department 2 owes 1 a yuan."""
    return step("commit", owed=[(2, 1, 100)], flaw=flaw, role="finance")


SETTLE: Final = (step("travel", seconds=2 * HOUR), step("finalise", seed=0, given="all"))


def opened(number: int = 1) -> Step:
    """Department 3 opens a condition."""
    return step("open", keeper=3, number=number, by=3, role="steward")


def bound(seed: int = 0, **other: Any) -> Step:
    """The first grant depends on the nth condition."""
    return step("bind", **{"grant": 0, "seed": seed, "by": 1, "role": "steward", **other})


def closed(**other: Any) -> Step:
    """Its keeper ends the first condition."""
    return step("close", **{"seed": 0, "by": 0, "role": "steward", **other})
