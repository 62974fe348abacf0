"""The benchmark of the embedded chain: the rate of mining, and the reading of its history.

``python -m benchmarks.chain --json [--blocks 10000] [--acts 400] [--rounds 3]``. The load are signed ``RegisterAsset`` acts on
the deployed contracts: one in each block for the history, one block each second for the rate.

Figures: ``tx_per_s`` (from the first ``send`` until the last transaction is mined, with the machine's clock, durable),
``ack_p50_ms`` (one ``send``), ``idle_act_p50_ms`` (from ``send`` to mined on an idle chain), ``logs_10k_blocks_s`` (all events
of the history), ``rebuild_10k_blocks_s`` (a rebuild of the projection in an empty database), ``follow_10k_blocks_s`` (the same
by the follower, with an audit entry for every event), ``file_bytes_per_block``.
Ratio: ``vs_eth_tester_memory``, the rate against eth-tester's own in-memory chain mining each transaction by
itself, interleaved.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eth_tester import EthereumTester, PyEVMBackend
from eth_utils.address import to_canonical_address

from ledger.chain.client import Fees
from ledger.chain.contracts import calldata, deploy
from ledger.chain.deployment import Deployment, act_digest
from ledger.chain.embedded import EmbeddedChain, SimulatedClock, random_chain_id
from ledger.chain.signers import sign_digest
from ledger.chain.transactions import address_of, sign_transaction
from ledger.clock import Clock

RELAYER, COUNCIL, OFFICER = (bytes([number]) * 32 for number in (0x11, 0x22, 0x33))
DEPARTMENT = 7
STEWARD_AND_ADMIN = 0b11
FOREVER = 2**40 - 1
GAS = 200_000


@dataclass(slots=True)
class Registrar:
    """A department whose steward registers one asset after another."""

    deployment: Deployment
    nonce: int
    registered: int = 0

    def next_act(self, fees: Fees) -> bytes:
        """The signed transaction of the next registration."""
        self.registered += 1
        message = {
            "asset": DEPARTMENT << 40 | self.registered,
            "class": 1,
            "sharing": 2,
            "metadata": "0x" + self.registered.to_bytes(32).hex(),
            "deadline": FOREVER,
        }
        signature = sign_digest(OFFICER, act_digest(self.deployment, "RegisterAsset", message))
        call = calldata(self.deployment, "RegisterAsset", message, [signature])
        raw = sign_transaction(RELAYER, self.deployment.chain_id, self.nonce, call.to, call.data, GAS, fees)
        self.nonce += 1
        return raw


@contextmanager
def chain_with_contracts(
    folder: Path, clock: Clock | None = None
) -> Iterator[tuple[EmbeddedChain, Registrar]]:
    """A new chain with our contracts and one department."""
    path = folder / f"{time.monotonic_ns()}.sqlite"
    with EmbeddedChain.create(path, random_chain_id(), address_of(RELAYER), clock=clock) as chain:
        council = address_of(COUNCIL)
        salt = "0x" + "5a" * 32
        deployment = deploy(chain, RELAYER, council=[council], threshold=1, guardian=council, salt=salt)
        registrar = Registrar(deployment, chain.nonce(chain.relayer))
        _admit(chain, registrar)
        yield chain, registrar


def _admit(chain: EmbeddedChain, registrar: Registrar) -> None:
    message = {
        "department": DEPARTMENT,
        "recovery": address_of(b"\x44" * 32),
        "profile": "0x" + "01" * 32,
        "seats": [
            {"holder": address_of(OFFICER), "roles": STEWARD_AND_ADMIN, "notBefore": 0, "notAfter": FOREVER}
        ],
        "serviceKeys": [],
        "epoch": 1,
        "deadline": FOREVER,
    }
    digest = act_digest(registrar.deployment, "Admission", message)
    signatures = {"council": [sign_digest(COUNCIL, digest)], "possession": [sign_digest(OFFICER, digest)]}
    call = calldata(registrar.deployment, "Admission", message, signatures)
    fees = chain.fees()
    raw = sign_transaction(RELAYER, chain.chain_id, registrar.nonce, call.to, call.data, 1_000_000, fees)
    registrar.nonce += 1
    receipt = chain.wait(chain.send(raw))
    if receipt.reverted:
        raise RuntimeError("the department was not admitted")


def mining_rate(folder: Path, acts: int) -> tuple[float, list[float]]:
    """The acts per second, and the time of each ``send`` in seconds."""
    with chain_with_contracts(folder) as (chain, registrar):
        signed = [registrar.next_act(chain.fees()) for _ in range(acts)]
        taken = []
        started = time.perf_counter()
        for raw in signed:
            before = time.perf_counter()
            last = chain.send(raw)
            taken.append(time.perf_counter() - before)
        receipt = chain.wait(last, timeout=120)
        rate = acts / (time.perf_counter() - started)
        if receipt.reverted:
            raise RuntimeError("an act was refused")
    return rate, taken


def idle_latency(folder: Path, rounds: int) -> list[float]:
    """The times from ``send`` to the receipt, in seconds, on a chain that was idle for more than a second."""
    taken = []
    with chain_with_contracts(folder) as (chain, registrar):
        for _ in range(rounds):
            time.sleep(1.2)
            raw = registrar.next_act(chain.fees())
            started = time.perf_counter()
            chain.wait(chain.send(raw))
            taken.append(time.perf_counter() - started)
    return taken


def memory_rate(folder: Path, acts: int) -> float:
    """The acts per second on eth-tester with its defaults: in memory, one block for each transaction."""
    with chain_with_contracts(folder, SimulatedClock()) as (chain, registrar):
        deployed = [chain.reader.body(chain.reader.header(n)) for n in range(1, chain.head().number + 1)]
        setup = [raw for body in deployed for raw in body.transactions]
        signed = [registrar.next_act(Fees(2 * 10**9)) for _ in range(acts)]
        genesis = {
            to_canonical_address(chain.relayer): {"balance": 10**36, "nonce": 0, "code": b"", "storage": {}}
        }
        limits = PyEVMBackend.generate_genesis_params({"gas_limit": 100_000_000})
        backend = PyEVMBackend(genesis_parameters=limits | {"base_fee_per_gas": 7}, genesis_state=genesis)
        type(backend.chain).chain_id = chain.chain_id
    tester = EthereumTester(backend)
    for raw in setup:
        tester.send_raw_transaction("0x" + raw.hex())
    started = time.perf_counter()
    for raw in signed:
        tester.send_raw_transaction("0x" + raw.hex())
    return acts / (time.perf_counter() - started)


def write_history(chain: EmbeddedChain, registrar: Registrar, blocks: int) -> None:
    """Mine blocks with one act each."""
    fees = chain.fees()
    while chain.head().number < blocks:
        chain.wait(chain.send(registrar.next_act(fees)))


def read_logs(chain: EmbeddedChain, registrar: Registrar) -> tuple[float, int]:
    """The seconds for reading all events of the contracts, and their number."""
    started = time.perf_counter()
    addresses = list(registrar.deployment.addresses.values())
    events = sum(1 for _ in chain.iterate_logs(0, chain.head().number, addresses))
    return time.perf_counter() - started, events


def project(chain: EmbeddedChain, deployment: Deployment, folder: Path) -> tuple[float, float, int]:
    """The seconds of a rebuild of the projection in an empty database, the seconds of following the chain from its start with
    an audit entry for every event, and the number of events."""
    from sqlmodel import SQLModel

    from ledger.audit.formats.checkpoint import Origin
    from ledger.audit.formats.note import Signer
    from ledger.audit.log.log import AuditLog
    from ledger.audit.log.writer import GroupCommit
    from ledger.projection.follower import Follower
    from ledger.projection.rebuild import rebuild
    from ledger.store.engine import open_engine

    rebuilt_engine = open_engine(f"sqlite:///{folder / 'rebuilt.sqlite'}")
    SQLModel.metadata.create_all(rebuilt_engine)
    rebuilt = rebuild(chain, rebuilt_engine, deployment)
    rebuilt_engine.dispose()

    engine = open_engine(f"sqlite:///{folder / 'followed.sqlite'}")
    SQLModel.metadata.create_all(engine)
    origin = Origin(deployment.chain_id, deployment.addresses["AuditAnchor"].lower(), 1)
    log = AuditLog.open(engine, Signer.generate(str(origin)))
    events = 0
    with GroupCommit(engine, log) as writer:
        follower = Follower(writer, engine, chain, deployment)
        started = time.perf_counter()
        while (progress := follower.step()) is not None:
            events += progress.events
        taken = time.perf_counter() - started
    engine.dispose()
    if events != rebuilt.events:
        raise RuntimeError(f"the follower took {events} events, the rebuild {rebuilt.events}")
    return rebuilt.seconds, taken, events


def measure(blocks: int, acts: int, rounds: int) -> dict[str, object]:
    """Run the whole benchmark; returns the object to print."""
    rates: list[float] = []
    sends: list[float] = []
    ratios: list[float] = []
    with tempfile.TemporaryDirectory(prefix="civic-chain-") as name:
        folder = Path(name)
        for _ in range(rounds):
            rate, taken = mining_rate(folder, acts)
            rates.append(rate)
            sends += taken
            ratios.append(rate / memory_rate(folder, acts // 4))
        idle = idle_latency(folder, 2 * rounds)
        with chain_with_contracts(folder, SimulatedClock()) as (chain, registrar):
            write_history(chain, registrar, blocks)
            logs_s, events = read_logs(chain, registrar)
            rebuild_s, follow_s, followed = project(chain, registrar.deployment, folder)
            size = chain.path.stat().st_size / chain.head().number
    if followed != events:
        raise RuntimeError(f"the projection took {followed} of {events} events")
    return {
        "benchmark": "chain",
        "figures": {
            "tx_per_s": round(statistics.median(rates), 1),
            "ack_p50_ms": round(statistics.median(sends) * 1e3, 2),
            "idle_act_p50_ms": round(statistics.median(idle) * 1e3, 1),
            "blocks": blocks,
            "events": events,
            f"logs_{blocks // 1000}k_blocks_s": round(logs_s, 2),
            f"rebuild_{blocks // 1000}k_blocks_s": round(rebuild_s, 2),
            f"follow_{blocks // 1000}k_blocks_s": round(follow_s, 2),
            "file_bytes_per_block": round(size),
        },
        "ratios": {"vs_eth_tester_memory": round(statistics.median(ratios), 2)},
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chain", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--acts", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    result = measure(options.blocks, options.acts, options.rounds)
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
