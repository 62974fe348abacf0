"""Releases name the version they read, acts that a chain lost are held, a database names its home, and the projection
has what the contracts' second edition tells.

Databases before this revision do not say which of it they have already: each part is looked for first.

Revision ID: 0002
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    PrimaryKeyConstraint,
    String,
    column,
    inspect,
    text,
    update,
)
from sqlalchemy import table as any_table

from languages.texts import in_both

revision = "0002"
down_revision = "0001"
WHAT = in_both(
    "releases name their version; lost acts, the owner of the database, conditions and hand-overs have tables"
)


def upgrade() -> None:
    _tables()
    _optional("outbox_act", Column("size", BigInteger))
    _optional("release", Column("version", BigInteger), Column("metadata_hash", String))
    _optional("sharing_grant", Column("replaced_by", String))
    _optional("log_head", Column("proven", Boolean))
    _optional("council", Column("hand_over", String))
    # The first edition named no epoch and no hand-over: an act that waited is of the council that is there.
    _required("council", "freeze_at", "0")
    _required("council", "hand_over_at", "0")
    for table in ("admission", "seat_recovery"):
        _required(table, "epoch", "coalesce((SELECT epoch FROM council), 0)")
    if "snapshot_root" in _columns("council"):
        with op.batch_alter_table("council") as council:
            council.drop_column("snapshot_root")


# fmt: off
def _tables() -> None:
    op.create_table(
        "lost_act",
        Column("entry", String, nullable=False), Column("position", BigInteger, nullable=False),
        Column("event", String, nullable=False), Column("kind", String, nullable=False),
        Column("target", String, nullable=False), Column("detail", String, nullable=False),
        Column("department", Integer, nullable=False), Column("act", String),
        Column("since_block", BigInteger, nullable=False), Column("lifted_block", BigInteger),
        PrimaryKeyConstraint("entry"), if_not_exists=True,
    )
    op.create_index("ix_lost_act_kind", "lost_act", ["kind"], if_not_exists=True)
    op.create_table(
        "store_instance",
        Column("id", Integer, nullable=False), Column("home", String, nullable=False),
        Column("chain_id", BigInteger, nullable=False), Column("ledger", String, nullable=False),
        Column("term", BigInteger, nullable=False), PrimaryKeyConstraint("id"), if_not_exists=True,
    )
    op.create_table(
        "sharing_condition",
        Column("id", String, nullable=False), Column("keeper", Integer, nullable=False),
        Column("sequence", BigInteger, nullable=False), Column("kind", Integer, nullable=False),
        Column("commitment", String, nullable=False), Column("state", Integer, nullable=False),
        Column("officer", String, nullable=False), Column("opened_at", BigInteger, nullable=False),
        Column("ended_at", BigInteger), Column("ended_by", String), Column("reason", Integer),
        PrimaryKeyConstraint("id"), if_not_exists=True,
    )
    op.create_index("sharing_condition_order", "sharing_condition", ["keeper", "sequence"], if_not_exists=True)
    op.create_table(
        "grant_condition",
        Column("grant", String, nullable=False), Column("place", Integer, autoincrement=False, nullable=False),
        Column("condition", String, nullable=False), Column("officer", String, nullable=False),
        Column("bound_at", BigInteger, nullable=False),
        PrimaryKeyConstraint("grant", "place"), if_not_exists=True,
    )
    op.create_index("ix_grant_condition_condition", "grant_condition", ["condition"], if_not_exists=True)
# fmt: on


def _columns(table: str) -> set[str]:
    return {str(one["name"]) for one in inspect(op.get_bind()).get_columns(table)}


def _optional(table: str, *columns: Column[object]) -> None:
    present = _columns(table)
    for one in columns:
        if one.name not in present:
            op.add_column(table, one)


def _required(table: str, name: str, value: str) -> None:
    """A column that cannot be empty: it comes empty, is filled, and is closed."""
    if name in _columns(table):
        return
    op.add_column(table, Column(name, BigInteger))
    op.execute(update(any_table(table, column(name))).values({name: text(value)}))
    with op.batch_alter_table(table) as altered:
        altered.alter_column(name, existing_type=BigInteger(), nullable=False)
