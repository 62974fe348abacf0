"""The numbers of the contracts. Written by ``python -m contracts.build`` from ``src/types/*.sol``; not by hand."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final


class Role(IntFlag):
    """Roles of a seat: officers and machines."""

    ADMIN = 1 << 0
    """People: keys of the own department."""
    STEWARD = 1 << 1
    """People: assets and grants."""
    FINANCE = 1 << 2
    """People: cost statements."""
    CDO = 1 << 3
    """People: chief data officer, co-signs important and core data."""
    OVERSIGHT = 1 << 4
    """People: ratifies break-glass, disputes, names the department's own auditors."""
    EMERGENCY = 1 << 5
    """People: may break glass for the own department."""
    BUREAU = 1 << 6
    """People: the data bureau's co-signature on core data."""
    ATTEST = 1 << 8
    """Machines: signs use, receipts and tree heads for the own department."""
    WITNESS = 1 << 9
    """Machines: cosigns tree heads on chain."""
    GATEWAY = 1 << 10
    """Machines: the city's gateway, records use of every department's assets."""


class ServiceRole(IntFlag):
    """Roles of a service key."""

    READER = 1 << 0
    """Calls the API under the department's grants. Given by ADMIN."""
    AUDITOR = 1 << 1
    """Reads the audit log about its own department. Given by OVERSIGHT, never by ADMIN: who is audited does
    not choose the auditor."""
    CITY_AUDITOR = 1 << 2
    """Reads the whole audit log. Given by the council."""


class Right(IntEnum):
    """The three rights in an asset."""

    HOLD = 1
    """Holding right (数据资源持有权)."""
    USE = 2
    """Processing-and-use right (数据加工使用权)."""
    OPERATE = 3
    """Product-operation right (数据产品经营权)."""


class Grade(IntEnum):
    """Grades of data; the higher wins."""

    GENERAL = 1
    IMPORTANT = 2
    CORE = 3


class Sharing(IntEnum):
    """Sharing classes of an asset."""

    UNCONDITIONAL = 1
    CONDITIONAL = 2
    NONE = 3


class DepartmentStatus(IntEnum):
    """Statuses of a department."""

    ACTIVE = 1
    SUSPENDED = 2


class AssetStatus(IntEnum):
    """Statuses of an asset."""

    ACTIVE = 1
    SUSPENDED = 2
    """Suspended by its holder, who may lift it."""
    BARRED = 3
    """Barred by the data bureau; only the bureau may lift it."""
    RETIRED = 4
    SUSPENDED_AND_BARRED = 5
    """Both: each is lifted by itself."""


class Stopper(IntEnum):
    """Who stops an asset or lets it go on: ``by`` of SuspendAsset and LiftAsset."""

    HOLDER = 1
    """Who stops an asset or lets it go on (`by` of SuspendAsset and LiftAsset)."""
    BUREAU = 2


class GrantStatus(IntEnum):
    """Statuses of a grant: the low four bits of its status."""

    ACTIVE = 1
    REVOKED = 2
    CANCELLED = 3
    REPLACED = 4
    """Revoked, and its children live on under another grant."""


class GrantFlag(IntFlag):
    """Flags of a grant: the high four bits of its status."""

    DELEGATED = 1 << 4
    EMERGENCY = 1 << 5
    RATIFIED = 1 << 6


class SeatFlag(IntFlag):
    """What happened to a seat."""

    REMOVED = 1
    ROTATED = 2
    VETO_SPENT = 4


class ConditionStatus(IntEnum):
    """Statuses of a condition."""

    UNKNOWN = 0
    OPEN = 1
    ENDED = 2


class ConditionKind(IntEnum):
    """Kinds of conditions."""

    CONSENT = 1
    CASE = 2
    ORDER = 3
    AGREEMENT = 4


class LogStatus(IntEnum):
    """Statuses of a log on chain."""

    UNKNOWN = 0
    OPEN = 1
    CLOSED = 2


PEOPLE: Final = (
    Role.ADMIN | Role.STEWARD | Role.FINANCE | Role.CDO | Role.OVERSIGHT | Role.EMERGENCY | Role.BUREAU
)

MACHINES: Final = Role.ATTEST | Role.WITNESS | Role.GATEWAY

GIVEN_BY_ADMIN: Final = Role.STEWARD | Role.FINANCE | Role.ATTEST
"""What an ADMIN may give and take; everything else needs the council."""

MAY_SECOND: Final = Role.ADMIN | Role.STEWARD | Role.CDO
"""Who signs beside the ADMIN when a STEWARD is seated: a role that an ADMIN alone can give to nobody."""

UNLIMITED: Final = 2**32 - 1
"""`maxUses` of a grant without a bound."""

USE_STEP_MAX: Final = 100_000
"""By how much a recorded total may rise at once."""

FOREVER: Final = 2**40 - 1
"""`notAfter` of a seat or key without an end."""

USE_GRACE: Final = 72 * 3_600
"""Time after the end of a grant in which uses made before it may still be recorded."""

BREAK_GLASS_MAX: Final = 12 * 3_600
"""Longest break-glass grant."""

RATIFY_WINDOW: Final = 72 * 3_600
"""Time for another department's oversight to ratify it."""

ADMISSION_WINDOW: Final = 30 * 86_400
"""Time after an admission is ready in which it must be activated; then it is void."""

RECOVERY_DELAY: Final = 72 * 3_600
"""Delay between a recovery's start and its end."""

RECOVERY_WINDOW: Final = 7 * 86_400
"""Time after that in which it must be ended; then it is void."""

PAUSE_MAX: Final = 72 * 3_600
"""Longest pause."""

PAUSE_COOLDOWN: Final = 7 * 86_400
"""Time after a pause in which there can be no other."""

FREEZE_MIN: Final = 1 * 3_600
"""Least time between the freeze and the hand-over: what was signed before is mined or refused, and everybody
looks."""

HAND_OVER_MAX: Final = 90 * 86_400
"""Longest time between the announcement of a hand-over and its end, beyond the admission delay."""

PARENTS_MAX: Final = 8
"""Parents of a derived asset, steps of derivation, and assets that are looked at for one of them, itself
included: one that is reached in two ways counts twice."""

LINEAGE_MAX: Final = 4

NODES_MAX: Final = 64

MAY_DERIVE: Final = 1 << 7
"""The highest bit of `depth` in signed terms: the grantee may derive assets of its own under this grant."""

OPEN_ACTS_OF_ONE: Final = 2
"""Break-glass acts of one officer that wait for ratification; a department has six."""

COUNCIL_MAX: Final = 16
"""Members of the council."""
