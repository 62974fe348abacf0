"""The owner of the database, and the revision of its tables: one row each."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, MetaData, PrimaryKeyConstraint, String, Table
from sqlmodel import Field, SQLModel


class StoreInstance(SQLModel, table=True):
    """``home`` is the random id of a home. ``term`` counts the services that have used this database exclusively: a service
    that finds another number than its own was replaced and writes nothing more."""

    __tablename__ = "store_instance"

    id: int = Field(primary_key=True)
    home: str
    chain_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    ledger: str
    term: int = Field(sa_column=Column(BigInteger, nullable=False))


REVISION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's table, with alembic's definition; `ledger.store.revisions` reads it."""
