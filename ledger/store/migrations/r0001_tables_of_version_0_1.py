"""The tables of version 0.1: what a database has that says nothing of its revision.

Revision ID: 0001
"""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    UniqueConstraint,
    text,
)

from languages.texts import in_both

revision = "0001"
down_revision = None
WHAT = in_both("the tables of version 0.1")


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


# fmt: off
def upgrade() -> None:
    op.create_table(
        "access_request",
        Column("id", String, nullable=False), Column("requester", Integer, nullable=False),
        Column("provider", Integer, nullable=False), Column("asset", String, nullable=False),
        Column("columns", String, nullable=False), Column("purpose", String, nullable=False),
        Column("legal_basis", String, nullable=False), Column("starts_at", BigInteger, nullable=False),
        Column("ends_at", BigInteger, nullable=False), Column("note", String, nullable=False),
        Column("sha256", String, nullable=False), Column("state", String, nullable=False),
        Column("submitted_at", BigInteger, nullable=False), Column("submitted_by", String, nullable=False),
        Column("decided_at", BigInteger, nullable=True), Column("decided_by", String, nullable=True),
        Column("reason", String, nullable=True), Column("explanation", String, nullable=True),
        Column("grant_id", String, nullable=True), PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_access_request_asset", "access_request", ["asset"])
    op.create_index("ix_access_request_grant_id", "access_request", ["grant_id"])
    op.create_index("ix_access_request_provider", "access_request", ["provider"])
    op.create_index("ix_access_request_requester", "access_request", ["requester"])
    op.create_index("ix_access_request_state", "access_request", ["state"])
    op.create_table(
        "admission",
        Column("id", String, nullable=False), Column("department", Integer, nullable=False),
        Column("ready_at", BigInteger, nullable=False), Column("state", String, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "asset",
        Column("id", String, nullable=False), Column("department", Integer, nullable=False),
        Column("sequence", BigInteger, nullable=False), Column("holder", Integer, nullable=False),
        Column("processor", Integer, nullable=False), Column("operator", Integer, nullable=False),
        Column("grade", Integer, nullable=False), Column("sharing", Integer, nullable=False),
        Column("version", BigInteger, nullable=False), Column("status", Integer, nullable=False),
        Column("metadata_hash", String, nullable=False), Column("since", BigInteger, nullable=False),
        Column("versioned_at", BigInteger, nullable=False), Column("officer", String, nullable=False),
        Column("reason", String, nullable=True), PrimaryKeyConstraint("id"),
    )
    op.create_index("asset_order", "asset", ["department", "sequence"])
    op.create_index("ix_asset_holder", "asset", ["holder"])
    op.create_table(
        "asset_parent",
        Column("asset", String, nullable=False), Column("parent", String, nullable=False),
        Column("under", String, nullable=True), PrimaryKeyConstraint("asset", "parent"),
    )
    op.create_index("ix_asset_parent_parent", "asset_parent", ["parent"])
    op.create_table(
        "audit_anchor",
        Column("size", BigInteger, autoincrement=False, nullable=False),
        Column("epoch", Integer, nullable=False), Column("root", LargeBinary(length=32), nullable=False),
        Column("tx_hash", String, nullable=False), Column("block_number", BigInteger, nullable=False),
        Column("block_hash", String, nullable=False), Column("proof", String, nullable=False),
        PrimaryKeyConstraint("size", "epoch"),
    )
    op.create_table(
        "audit_checkpoint",
        Column("size", BigInteger, autoincrement=False, nullable=False),
        Column("epoch", Integer, nullable=False), Column("root", LargeBinary(length=32), nullable=False),
        Column("note", String, nullable=False), PrimaryKeyConstraint("size", "epoch"),
    )
    op.create_table(
        "audit_entry",
        Column("idx", BigInteger().with_variant(Integer, "sqlite"), autoincrement=False, nullable=False),
        Column("leaf_hash", LargeBinary(length=32), nullable=False),
        Column("event_id", LargeBinary(length=16), nullable=False), Column("time", BigInteger, nullable=False),
        Column("type", String, nullable=False), Column("department", Integer, nullable=False),
        Column("actor", String, nullable=True), Column("asset", String, nullable=True),
        Column("grant_id", LargeBinary(length=32), nullable=True), Column("purpose", String, nullable=True),
        Column("decision", String, nullable=True), Column("leaf", LargeBinary, nullable=False),
        PrimaryKeyConstraint("idx"), UniqueConstraint("event_id"),
    )
    op.create_index("audit_entry_actor", "audit_entry", ["actor", "idx"], **_where("actor IS NOT NULL"))
    op.create_index("audit_entry_asset", "audit_entry", ["asset", "idx"], **_where("asset IS NOT NULL"))
    op.create_index("audit_entry_denied", "audit_entry", ["department", "idx"], **_where("decision = 'deny'"))
    op.create_index("audit_entry_department", "audit_entry", ["department", "idx"])
    op.create_index("audit_entry_grant", "audit_entry", ["grant_id", "idx"], **_where("grant_id IS NOT NULL"))
    op.create_index("audit_entry_time", "audit_entry", ["time"])
    op.create_table(
        "audit_epoch",
        Column("epoch", Integer, nullable=False), Column("origin", String, nullable=False),
        Column("kept_size", BigInteger, nullable=False),
        Column("kept_root", LargeBinary(length=32), nullable=False),
        Column("lost_size", BigInteger, nullable=False),
        Column("lost_root", LargeBinary(length=32), nullable=False), Column("reason", String, nullable=False),
        Column("evidence", String, nullable=False), PrimaryKeyConstraint("epoch"),
    )
    op.create_table(
        "audit_key",
        Column("vkey", String, nullable=False), Column("epoch", Integer, nullable=False),
        Column("from_size", BigInteger, nullable=False), Column("handover", String, nullable=False),
        PrimaryKeyConstraint("vkey"),
    )
    op.create_table(
        "audit_opening",
        Column("idx", BigInteger, autoincrement=False, nullable=False), Column("name", String, nullable=False),
        Column("tag", LargeBinary(length=32), nullable=False), Column("sealed", LargeBinary, nullable=False),
        PrimaryKeyConstraint("idx", "name"),
    )
    op.create_index("audit_opening_subject", "audit_opening", ["tag", "idx"])
    op.create_table(
        "audit_state",
        Column("id", Integer, nullable=False), Column("size", BigInteger, nullable=False),
        Column("root", LargeBinary(length=32), nullable=False), Column("frontier", LargeBinary, nullable=False),
        Column("note", String, nullable=False), Column("pruned", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "audit_subject",
        Column("tag", LargeBinary(length=32), nullable=False), Column("wrapped", LargeBinary, nullable=False),
        PrimaryKeyConstraint("tag"),
    )
    op.create_table(
        "audit_tile",
        Column("level", Integer, nullable=False), Column("n", BigInteger, autoincrement=False, nullable=False),
        Column("root", LargeBinary(length=32), nullable=False), Column("data", LargeBinary, nullable=False),
        PrimaryKeyConstraint("level", "n"),
    )
    op.create_table(
        "audit_timestamp",
        Column("size", BigInteger, autoincrement=False, nullable=False),
        Column("epoch", Integer, nullable=False), Column("token", LargeBinary, nullable=False),
        PrimaryKeyConstraint("size", "epoch"),
    )
    op.create_table(
        "call_nonce",
        Column("key_id", String, nullable=False), Column("nonce", String, nullable=False),
        Column("expires", BigInteger, nullable=False), PrimaryKeyConstraint("key_id", "nonce"),
    )
    op.create_index("ix_call_nonce_expires", "call_nonce", ["expires"])
    op.create_table(
        "chain_block",
        Column("number", BigInteger, autoincrement=False, nullable=False),
        Column("hash", String, nullable=False), PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "chain_event",
        Column("block_number", BigInteger, autoincrement=False, nullable=False),
        Column("log_index", Integer, autoincrement=False, nullable=False),
        Column("block_hash", String, nullable=False), Column("block_time", BigInteger, nullable=False),
        Column("tx_hash", String, nullable=False), Column("contract", String, nullable=False),
        Column("name", String, nullable=False), Column("args", String, nullable=False),
        Column("subject", String, nullable=True), PrimaryKeyConstraint("block_number", "log_index"),
    )
    op.create_index("ix_chain_event_name", "chain_event", ["name"])
    op.create_index("ix_chain_event_subject", "chain_event", ["subject"])
    op.create_index("ix_chain_event_tx_hash", "chain_event", ["tx_hash"])
    op.create_table(
        "council",
        Column("id", Integer, autoincrement=False, nullable=False), Column("members", String, nullable=False),
        Column("threshold", Integer, nullable=False), Column("guardian", String, nullable=False),
        Column("epoch", Integer, nullable=False), Column("paused_until", BigInteger, nullable=False),
        Column("pause_allowed_at", BigInteger, nullable=False), Column("successor", String, nullable=True),
        Column("snapshot_root", String, nullable=True), PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "department",
        Column("number", Integer, autoincrement=False, nullable=False),
        Column("standing", Integer, nullable=False), Column("recovery", String, nullable=False),
        Column("profile", String, nullable=False), Column("admitted_at", BigInteger, nullable=False),
        Column("reason", String, nullable=True), PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "document",
        Column("sha256", String, nullable=False), Column("body", LargeBinary, nullable=False),
        PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "grant_acceptance",
        Column("grant_id", String, nullable=False), Column("officer", String, nullable=False),
        Column("signature", LargeBinary, nullable=False), Column("accepted_at", BigInteger, nullable=False),
        PrimaryKeyConstraint("grant_id"),
    )
    op.create_table(
        "grant_charge",
        Column("grant_id", String, nullable=False), Column("used", BigInteger, nullable=False),
        Column("first", BigInteger, nullable=False), PrimaryKeyConstraint("grant_id"),
    )
    op.create_table(
        "log_head",
        Column("origin", String, nullable=False), Column("operator", Integer, nullable=False),
        Column("quorum", Integer, nullable=False), Column("epoch", BigInteger, nullable=False),
        Column("size", BigInteger, nullable=False), Column("root", String, nullable=False),
        Column("time", BigInteger, nullable=False), Column("block_number", BigInteger, nullable=False),
        Column("tx_hash", String, nullable=False), Column("successor", String, nullable=True),
        PrimaryKeyConstraint("origin"),
    )
    op.create_table(
        "outbox_act",
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), autoincrement=True, nullable=False),
        Column("digest", String, nullable=False), Column("type", String, nullable=False),
        Column("message", String, nullable=False), Column("signatures", String, nullable=False),
        Column("arguments", String, nullable=False), Column("deadline", BigInteger, nullable=True),
        Column("signer", String, nullable=False), Column("request_id", String, nullable=True),
        Column("state", String, nullable=False), Column("code", String, nullable=True),
        Column("detail", String, nullable=True), Column("received_at", BigInteger, nullable=False),
        Column("tx_hash", String, nullable=True), Column("block_number", BigInteger, nullable=True),
        Column("entry_id", String, nullable=True), PrimaryKeyConstraint("seq"), UniqueConstraint("digest"),
    )
    op.create_index("ix_outbox_act_state", "outbox_act", ["state"])
    op.create_table(
        "outbox_denial",
        Column("digest", String, nullable=False), Column("kind", String, nullable=False),
        Column("target", String, nullable=False), PrimaryKeyConstraint("digest", "kind", "target"),
    )
    op.create_table(
        "outbox_transaction",
        Column("tx_hash", String, nullable=False), Column("nonce", BigInteger, nullable=False),
        Column("digest", String, nullable=False), Column("raw", LargeBinary, nullable=False),
        Column("fee", BigInteger, nullable=False), Column("signed_at", BigInteger, nullable=False),
        Column("open", Boolean, nullable=False), PrimaryKeyConstraint("tx_hash"),
    )
    op.create_index("ix_outbox_transaction_digest", "outbox_transaction", ["digest"])
    op.create_index("ix_outbox_transaction_nonce", "outbox_transaction", ["nonce"])
    op.create_index("ix_outbox_transaction_open", "outbox_transaction", ["open"])
    op.create_table(
        "projection_cursor",
        Column("id", Integer, autoincrement=False, nullable=False),
        Column("block_number", BigInteger, nullable=False), Column("block_hash", String, nullable=False),
        Column("version", BigInteger, nullable=False), Column("reorgs", BigInteger, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "release",
        Column("id", String, nullable=False), Column("key_id", String, nullable=False),
        Column("idempotency_key", String, nullable=False), Column("request_hash", String, nullable=False),
        Column("department", Integer, nullable=False), Column("asset", String, nullable=False),
        Column("grant_id", String, nullable=False), Column("purpose", String, nullable=False),
        Column("action", String, nullable=False), Column("plan_hash", String, nullable=False),
        Column("media_type", String, nullable=False), Column("state", String, nullable=False),
        Column("entry_id", String, nullable=False), Column("charged_at", BigInteger, nullable=False),
        Column("finished_at", BigInteger, nullable=True), Column("rows", BigInteger, nullable=True),
        Column("size", BigInteger, nullable=True), Column("digest", String, nullable=True),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_release_grant_id", "release", ["grant_id"])
    op.create_index("ix_release_idempotency_key", "release", ["idempotency_key"])
    op.create_index("ix_release_key_id", "release", ["key_id"])
    op.create_table(
        "seat",
        Column("holder", String, nullable=False), Column("department", Integer, nullable=False),
        Column("roles", Integer, nullable=False), Column("not_before", BigInteger, nullable=False),
        Column("not_after", BigInteger, nullable=False), Column("flags", Integer, nullable=False),
        Column("successor", String, nullable=True), PrimaryKeyConstraint("holder"),
    )
    op.create_index("ix_seat_department", "seat", ["department"])
    op.create_table(
        "seat_recovery",
        Column("holder", String, nullable=False), Column("successor", String, nullable=False),
        Column("department", Integer, nullable=False), Column("recovery", String, nullable=False),
        Column("ready_at", BigInteger, nullable=False), Column("state", String, nullable=False),
        PrimaryKeyConstraint("holder"),
    )
    op.create_table(
        "service_key",
        Column("department", Integer, autoincrement=False, nullable=False),
        Column("key", String, nullable=False), Column("hpke", String, nullable=False),
        Column("roles", Integer, nullable=False), Column("not_before", BigInteger, nullable=False),
        Column("not_after", BigInteger, nullable=False), Column("removed", Boolean, nullable=False),
        PrimaryKeyConstraint("department", "key"),
    )
    op.create_index("ix_service_key_key", "service_key", ["key"])
    op.create_table(
        "sharing_grant",
        Column("id", String, nullable=False), Column("asset", String, nullable=False),
        Column("grantee", Integer, nullable=False), Column("right", Integer, nullable=False),
        Column("not_before", BigInteger, nullable=False), Column("expiry", BigInteger, nullable=False),
        Column("max_uses", BigInteger, nullable=False), Column("depth", Integer, nullable=False),
        Column("deadline", BigInteger, nullable=False), Column("terms_hash", String, nullable=False),
        Column("parent", String, nullable=True), Column("salt", String, nullable=False),
        Column("kind", String, nullable=False), Column("state", Integer, nullable=False),
        Column("left", BigInteger, nullable=False), Column("uses", BigInteger, nullable=False),
        Column("grantor", Integer, nullable=False), Column("officer", String, nullable=False),
        Column("granted_at", BigInteger, nullable=False), Column("block_number", BigInteger, nullable=False),
        Column("log_index", Integer, nullable=False), Column("ended_at", BigInteger, nullable=True),
        Column("ended_by", String, nullable=True), Column("reason", Integer, nullable=True),
        Column("ratify_by", BigInteger, nullable=True), Column("ratified_by", Integer, nullable=True),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_sharing_grant_grantee", "sharing_grant", ["grantee"])
    op.create_index("ix_sharing_grant_grantor", "sharing_grant", ["grantor"])
    op.create_index("ix_sharing_grant_parent", "sharing_grant", ["parent"])
    op.create_index("ix_sharing_grant_terms_hash", "sharing_grant", ["terms_hash"])
    op.create_index("sharing_grant_live", "sharing_grant", ["asset", "grantee", "state"])
    op.create_index("sharing_grant_order", "sharing_grant", ["block_number", "log_index"])
# fmt: on
