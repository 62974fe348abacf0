"""Whose database this is: the one row that names the home, its chain and its contracts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel


class StoreInstance(SQLModel, table=True):
    """``home`` is the id that a home drew when it was made. ``term`` counts the services that had this database to
    themselves: a service that finds another number than its own was replaced, and writes nothing more."""

    __tablename__ = "store_instance"

    id: int = Field(primary_key=True)
    home: str
    chain_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    ledger: str
    term: int = Field(sa_column=Column(BigInteger, nullable=False))
