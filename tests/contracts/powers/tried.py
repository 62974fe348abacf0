"""The powers of every key alone, of every pair in which one signature is correct beside another, and of the
council."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .acts import Act
from .ready_city import ReadyCity

RELATIONS = {"1": "its own", "2": "the other party", "3": "a third"}
SAMPLE = 4
"""The number of the other pairs that are tried for each act all the same."""


def title(label: str) -> str:
    """``1 steward b`` is a STEWARD of department 1."""
    first, *rest = label.split()
    return f"{first} {rest[0].upper()}" if first in RELATIONS else first


def obtains(prepared: ReadyCity, act: Act, labels: Sequence[str]) -> bool:
    """Whether these keys' signatures, in this order, are sufficient now."""
    contract, function, arguments = act.call(prepared, [prepared.key(label) for label in labels])
    return prepared.does(contract, function, *arguments)


def alone(prepared: ReadyCity, act: Act) -> set[str]:
    """Keys that obtain the act if they sign in every position. The same signature three times is not a
    different attempt from twice."""
    counts = sorted({min(len(way), 2) for way in act.ways} or {1})
    named = {label for way in act.ways for label in way}
    tried = [
        label
        for label in prepared.keys
        if label in named or not label.endswith((" b", "council 1", "council 2"))
    ]
    return {label for label in tried if any(obtains(prepared, act, [label] * count) for count in counts)}


def places(prepared: ReadyCity, act: Act, way: Sequence[str]) -> list[set[str]]:
    """For each position of a correct list, the keys that are correct there beside the others."""
    return [
        {label for label in prepared.keys if obtains(prepared, act, [*way[:i], label, *way[i + 1 :]])}
        for i in range(len(way))
    ]


def pairs(prepared: ReadyCity, act: Act, solo: set[str], noise: random.Random) -> set[frozenset[str]]:
    """Pairs of keys, neither of which obtains it alone, that obtain it together: each list of the two in which both
    stand where they are right beside the others, and some of the other lists by chance."""
    found: set[frozenset[str]] = set()
    strangers = [label for label in prepared.keys if label not in solo]
    for way in act.ways:
        if len(way) < 2 or set(way) & solo:
            continue
        lists = [tuple(noise.sample(strangers, 2)) * len(way) for _ in range(SAMPLE)]
        if "council 0" not in way:
            lists += [one for one in itertools.product(*places(prepared, act, way)) if len(set(one)) == 2]
        for one in lists:
            if not set(one) & solo and obtains(prepared, act, one[: len(way)]):
                found.add(frozenset(one[: len(way)]))
    return found


COALITIONS = {
    "a quorum": ("council 0", "council 1"),
    "a quorum and an ADMIN of the department": ("council 0", "council 1", "1 admin"),
    "a quorum and the department's recovery key": ("council 0", "council 1", "1 recovery"),
    "one member and an ADMIN of the department": ("council 0", "1 admin"),
    "one member and the department's recovery key": ("council 0", "1 recovery"),
}


def together(prepared: ReadyCity, act: Act, keys: Sequence[str]) -> bool:
    """Whether all of these keys together, in some order, each once, are sufficient."""
    if len(keys) not in {len(way) for way in act.ways}:
        return False
    return any(obtains(prepared, act, order) for order in itertools.permutations(keys))


def table(prepared: ReadyCity, acts: Sequence[Act]) -> dict[str, Any]:
    """The results by act, in the form of ``contracts/powers.json``."""
    found: dict[str, Any] = {}
    for act in acts:
        with ready(prepared, act):
            for way in act.ways:
                assert obtains(prepared, act, way), f"{act.name}: {way} should be enough"
            solo = alone(prepared, act)
            both = pairs(prepared, act, solo, random.Random(act.name))
            found[act.name] = {
                "message": act.kind,
                "alone": sorted({title(label) for label in solo}),
                "pairs": sorted({" + ".join(sorted(map(title, pair))) for pair in both}),
                "council": [name for name, keys in COALITIONS.items() if together(prepared, act, keys)],
            }
    return found


@contextmanager
def ready(prepared: ReadyCity, act: Act) -> Iterator[None]:
    """The city in the state that this act needs; the changes are undone."""
    if act.prepare is None:
        yield
        return
    with prepared.chain.rewound():
        act.prepare(prepared)
        yield
