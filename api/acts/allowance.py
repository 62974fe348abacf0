"""Limits of the number and size of a department's acts, checked before an act is stored."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from api.runtime.errors import RefusedError
from api.runtime.settings import Settings
from languages.texts import in_both
from ledger.chain.deployment import Deployment
from ledger.chain.signers import recover
from ledger.outbox import SignedAct
from ledger.outbox.allowance import department_of, submitted_acts
from ledger.outbox.held_acts import NARROWING
from ledger.outbox.store import size_of

HOUR_S = 3_600
NARROWING_TIMES = 10
"""The factor of the limits for acts that take something away, so that a department that granted too much can revoke
everything."""
WAIT_S = 10
"""The seconds in which waiting acts are usually recorded."""


def must_have_room(
    connection: Connection, settings: Settings, deployment: Deployment, act: SignedAct, now: datetime
) -> None:
    """RefusedError ``act.too-many`` if the department of the first signer has reached a limit. Acts of the council
    and of recovery keys are not counted."""
    department = department_of(connection, recover(act.digest(deployment), act.all_signatures[0]))
    if department is None:
        return
    moment = int(now.timestamp() * 1_000_000)
    found = submitted_acts(connection, department, moment - HOUR_S * 1_000_000)
    times = NARROWING_TIMES if act.type in NARROWING else 1
    if found.waiting >= settings.department_acts_waiting * times:
        raise _too_many(
            in_both("{acts} acts of the department wait to be recorded", acts=found.waiting), WAIT_S
        )
    first = moment if found.first is None else found.first
    left = max(1, HOUR_S - (moment - first) // 1_000_000)
    if found.recent >= settings.department_acts_hourly * times:
        raise _too_many(
            in_both("the department handed in {acts} acts within an hour", acts=found.recent), left
        )
    if found.size + size_of(act) > settings.department_act_bytes * times:
        raise _too_many(
            in_both("the department handed in acts of {size} bytes within an hour", size=found.size), left
        )


def _too_many(detail: str, wait_s: int) -> RefusedError:
    return RefusedError("act.too-many", detail, retry_after_s=wait_s)
