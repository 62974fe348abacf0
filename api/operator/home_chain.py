"""The chain of a home, and the time that the operator states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from api.runtime.settings import Home, Settings
from ledger.chain.client import ChainClient
from ledger.chain.deployment import Deployment
from ledger.chain.edition import with_edition
from ledger.chain.errors import WrongChain
from ledger.clock import Timekeeper


@contextmanager
def open_chain(
    home: Home, settings: Settings, time: Timekeeper | None = None, *, reading: bool = False
) -> Iterator[ChainClient]:
    """The installation's chain: the embedded one, or one or several nodes, which must be on the home's chain.
    ``settings`` are those that `at_home` returns. The embedded chain mines after ``time`` has begun.
    ``reading`` opens it read-only, also while the service has it open."""
    if settings.rpc_url:
        from ledger.chain.several import open_nodes

        yield open_nodes(settings.rpc_url, home.chain_id)
        return
    from ledger.chain.embedded import EmbeddedChain

    with EmbeddedChain.open(home.chain_file, clock=time, reading=reading) as chain:
        yield chain


def must_be_chain_of(home: Home, chain: ChainClient) -> Deployment:
    """The home's contracts with their edition; `WrongChain` if the chain is another one."""
    deployment = Deployment.from_json(home.deployment)
    if not chain.chain_id == home.chain_id == deployment.chain_id:
        raise WrongChain(
            f"this home is of chain {home.chain_id}, the chain here is {chain.chain_id}",
            hint="put back the chain that belongs to this home",
        )
    return with_edition(chain, deployment)


def stated_time(settings: Settings) -> float | None:
    """The time that the operator states, in seconds since 1970; None if there is none."""
    return None if settings.clock_is is None else settings.clock_is.timestamp()
