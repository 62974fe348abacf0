"""Limits of amounts, counts and times: each number is found by attempts on the chain."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from contracts_harness import DAY, EMERGENCY, HOUR, STEWARD, UNLIMITED, ZERO, Key, keccak, struct_hash

from tests.contracts.anchoring import origin_of

from .acts import Act
from .data_acts import ACTS
from .ready_city import ReadyCity

FAR = 400 * DAY


def last(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The largest number from ``low`` on for which the condition holds; it holds for ``low`` and not for
    ``high``."""
    assert holds(low)
    assert not holds(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


class Measured:
    """The limits of one prepared city."""

    def __init__(self, prepared: ReadyCity) -> None:
        self.prepared, self.city = prepared, prepared.city
        self.acts = {act.name: act for act in ACTS}

    def at(self, time: int, name: str, *labels: str) -> bool:
        """Whether these signers obtain the act at that second; the chain is not changed."""
        act: Act = self.acts[name]
        contract, function, arguments = act.call(
            self.prepared, [self.prepared.key(label) for label in labels]
        )
        with self.moment(time):
            return self.prepared.does(contract, function, *arguments)

    @contextmanager
    def moment(self, time: int) -> Any:
        now, self.prepared.chain.now = self.prepared.chain.now, time
        try:
            yield
        finally:
            self.prepared.chain.now = now

    # ---- break-glass ---------------------------------------------------------------------------------------------

    def _break(self, sequence: int, key: Key, seconds: int = HOUR) -> tuple[Any, ...]:
        message = self.city.message(
            "BreakGlass",
            asset=self.prepared.asset(sequence, 2),
            grantee=1,
            reasonHash=ZERO,
            until=self.city.now + seconds,
        )
        return message, self.city.sign("BreakGlass", message, key)

    def longest_break_glass(self) -> int:
        key = self.prepared.key("1 emergency")
        return last(
            1, DAY, lambda s: self.prepared.does(self.city.ledger, "breakGlass", *self._break(10, key, s))
        )

    def open_acts(self, keys: list[Key]) -> int:
        """The number of acts that can be pending at once; each officer submits until it is refused."""
        done = 1
        with self.prepared.chain.rewound():
            for sequence in range(20, 30):
                self.city.register(self.prepared.asset(sequence, 2))
            for key in keys:
                while self.prepared.does(
                    self.city.ledger, "breakGlass", *(call := self._break(19 + done, key))
                ):
                    self.city.send("breakGlass", *call)
                    done += 1
        return done

    def open_acts_of_department(self) -> int:
        with self.prepared.chain.rewound():
            more = [Key(f"1 emergency {i}") for i in range(4)]
            for key in more:
                self.city.seat([*self.city.members[:2], self.prepared.key("1 admin")], 1, key, EMERGENCY)
            return self.open_acts([self.prepared.key("1 emergency"), *more])

    def open_acts_of_asset(self) -> int:
        with self.prepared.chain.rewound():
            done = 0
            keys = [self.prepared.key("1 emergency"), self.prepared.key("1 emergency b")]
            for key in keys:
                if self.prepared.does(self.city.ledger, "breakGlass", *(call := self._break(10, key))):
                    self.city.send("breakGlass", *call)
                    done += 1
            return done

    def ratified_within(self) -> int:
        glass = self.city.call("grantOf", self.prepared.glass)["notBefore"]
        ratify = "ratify the department's break-glass"
        return last(HOUR, FAR, lambda s: self.at(glass + s, ratify, "2 oversight"))

    def privilege_kept(self) -> int:
        """How long after an unratified act the department can still break glass."""
        glass, key = (
            self.city.call("grantOf", self.prepared.glass)["notBefore"],
            self.prepared.key("1 emergency"),
        )

        def takes(seconds: int) -> bool:
            with self.moment(glass + seconds):
                return self.prepared.does(self.city.ledger, "breakGlass", *self._break(10, key))

        return last(HOUR, FAR, takes)

    # ---- uses and heads ------------------------------------------------------------------------------------------

    def largest_step(self) -> int:
        key = self.prepared.key("1 gateway")

        def takes(total: int) -> bool:
            message = self.city.message("Use", grant=self.prepared.grants["open"], total=total, logHead=ZERO)
            return self.prepared.does(self.city.ledger, "use", message, *self.city.sign("Use", message, key))

        return last(1, UNLIMITED, takes)

    def recorded_after_the_end(self) -> int:
        end, key = self.prepared.counted["expiry"], self.prepared.key("1 attest")

        def takes(seconds: int) -> bool:
            with self.moment(end + seconds):
                message = self.city.message(
                    "Use", grant=self.prepared.grants["counted"], total=11, logHead=ZERO
                )
                return self.prepared.does(
                    self.city.ledger, "use", message, *self.city.sign("Use", message, key)
                )

        return last(0, FAR, takes)

    def largest_growth(self) -> int:
        key = self.prepared.key("1 attest")

        def takes(size: int) -> bool:
            head = self.prepared.anchor.head(origin_of("alone"), size, keccak(b"root"))
            signatures = self.city.sign("TreeHead", head, key, contract=self.prepared.anchor.contract)
            return self.prepared.does(self.prepared.anchor.contract, "anchor", head, [], signatures[0])

        return last(1, 2**63, takes)

    # ---- the council and its clocks ------------------------------------------------------------------------------

    def longest_pause(self) -> int:
        def takes(seconds: int) -> bool:
            message = self.city.message("Pause", duration=seconds)
            signature = self.city.sign("Pause", message, self.city.guardian)
            return self.prepared.does(self.city.ledger, "pause", message, *signature)

        return last(1, FAR, takes)

    def next_pause(self) -> int:
        """Seconds from the end of a pause to the next."""
        with self.prepared.chain.rewound():
            message = self.city.message("Pause", duration=HOUR)
            end = self.city.now + HOUR
            self.city.send("pause", message, *self.city.sign("Pause", message, self.city.guardian))
            return last(1, FAR, lambda s: not self.at(end + s, "pause the city", "guardian")) + 1

    def seat_begins(self, *more: str) -> int:
        """Seconds from the act to the start of a seat that the council gives."""
        with self.prepared.chain.rewound():
            authority = [*self.city.members[:2], *map(self.prepared.key, more)]
            now = self.city.now
            receipt = self.city.seat(authority, 1, Key("newest"), STEWARD)
            return max(0, int(receipt.only("OfficerAdded")["notBefore"]) - now)

    def recovery(self) -> tuple[int, int]:
        """The first and the last second after its start in which a recovery is finished."""
        holder = self.prepared.key("1 finance b").address
        ready = self.city.call("recovery", holder)[1]

        def takes(time: int) -> bool:
            with self.moment(time):
                return self.prepared.does(self.city.ledger, "finishRecovery", holder)

        started = ready - 72 * HOUR
        first = last(started + 1, ready + 1, lambda time: not takes(time)) + 1
        return first - started, last(first, first + FAR, takes) - started

    def admission(self) -> tuple[int, int]:
        """Likewise of an admission."""
        with self.prepared.chain.rewound():
            message = self.prepared.admission(10) | {"deadline": self.city.now + FAR * 2}
            begun = self.city.now
            self.city.send("proposeAdmission", message, self.city.council("Admission", message))
            possession = self.city.sign("Admission", message, Key("newcomer"))

            def takes(seconds: int) -> bool:
                with self.moment(begun + seconds):
                    return self.prepared.does(self.city.ledger, "activate", message, possession)

            first = last(1, 20 * DAY, lambda s: not takes(s)) + 1
            return first, last(first, FAR, takes)

    # ---- money ---------------------------------------------------------------------------------------------------

    def settlement(self) -> tuple[int, int]:
        """The first and the last second after a commitment with the shortest window in which it settles."""
        status = self.prepared.pools.call(
            "statementStatus", struct_hash("CommitStatement", self.prepared.due)
        )
        begun = status["committedAt"]
        name, two = "settle a statement whose window is over", ("1 finance", "1 oversight")
        first = last(begun + 1, self.city.now, lambda time: not self.at(time, name, *two)) + 1
        return first - begun, last(first, first + FAR, lambda time: self.at(time, name, *two)) - begun

    def after_a_dismissal(self) -> int:
        """Seconds that a debtor has after the bureau dismissed its dispute, if its window is over."""
        pools, prepared = self.prepared.pools, self.prepared
        with prepared.chain.rewound():
            statement = pools.statement(prepared.lines, period=4)
            pools.commit(statement)
            pools.raise_dispute(statement, prepared.lines, prepared.lines[0], prepared.key("2 finance"))
            pools.wait()
            now = self.city.now
            pools.close_dispute(statement, prepared.lines[0], prepared.key("3 bureau"))
            message = {"statement": struct_hash("CommitStatement", statement), "deadline": now + FAR}
            signed = [
                pools.sign("Finalise", message, prepared.key(f"1 {role}"))
                for role in ("finance", "oversight")
            ]

            def refused(seconds: int) -> bool:
                with self.moment(now + seconds):
                    return not prepared.does(
                        pools.contract, "finalise", message, statement, prepared.lines, *signed
                    )

            return last(1, DAY, refused)

    def largest_deposit(self) -> int:
        pools, key = self.prepared.pools, self.prepared.key("1 finance")

        def takes(fen: int) -> bool:
            message = pools.budget(1, fen)
            return self.prepared.does(
                pools.contract, "setBudget", message, pools.sign("SetBudget", message, key)
            )

        return last(1_001, 2**80 - 1, takes)

    def most_conditions(self) -> int:
        conditions, grant = self.prepared.conditions, self.prepared.grants["open"]
        with self.prepared.chain.rewound():
            for sequence in range(10, 20):
                conditions.open(conditions.id(sequence))
                message = {
                    "grant": grant,
                    "condition": conditions.id(sequence),
                    "deadline": self.city.now + DAY,
                }
                signature = conditions.sign("BindCondition", message, self.prepared.key("1 steward"))[0]
                if not self.prepared.does(conditions.contract, "bindCondition", message, signature):
                    return sequence - 10
                conditions.send("bindCondition", message, signature)
        raise AssertionError("no bound was met")


def limits(prepared: ReadyCity) -> dict[str, int]:
    """Every limit by its name, in seconds, pieces or fen."""
    m = Measured(prepared)
    assert m.city.call("council")[4] == m.seat_begins(), "the admission delay of the prepared"
    recovery, admission, settlement = m.recovery(), m.admission(), m.settlement()
    return {
        "break-glass: seconds of one act": m.longest_break_glass(),
        "break-glass: acts that wait, of one officer": m.open_acts([prepared.key("1 emergency")]),
        "break-glass: acts that wait, of one department": m.open_acts_of_department(),
        "break-glass: acts that wait, of one department on one asset": m.open_acts_of_asset(),
        "break-glass: seconds in which it is ratified": m.ratified_within(),
        "break-glass: seconds until the privilege is lost without it": m.privilege_kept(),
        "uses: by how much one message raises a total": m.largest_step(),
        "uses: seconds after the end of a grant in which they are recorded": m.recorded_after_the_end() + 1,
        "log: entries by which one head grows": m.largest_growth(),
        "pause: seconds": m.longest_pause(),
        "pause: seconds from one to the next": m.next_pause(),
        "council: seconds until a seat begins that it alone gives (the admission delay, here three days)": m.seat_begins(),
        "council: seconds until a seat begins that an ADMIN of the department gives with it": m.seat_begins(
            "1 admin"
        ),
        "recovery: seconds from its start until it is finished": recovery[0],
        "recovery: seconds from its start until it is void": recovery[1],
        "admission: seconds from its proposal until it is activated (the admission delay)": admission[0],
        "admission: seconds from its proposal until it is void": admission[1],
        "pool: seconds from a commitment until it settles, at least (the shortest window, here an hour)": settlement[
            0
        ],
        "pool: seconds from a commitment until it is void, with the shortest window": settlement[1],
        "pool: seconds in which a debtor withdraws after a dismissal (the shortest window)": m.after_a_dismissal(),
        "pool: fen that one department deposits": m.largest_deposit(),
        "conditions: of one grant": m.most_conditions(),
    }
