"""The harness's chain on an independent node: anvil, another implementation of the EVM, over JSON-RPC."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contracts_harness import GAS_LIMIT, START, Abi, Chain, Contract

ROOT = Path(__file__).resolve().parents[2]


class AnvilChain(Chain):
    """Like ``Chain``; ``close`` ends the process."""

    def __init__(self) -> None:
        binary = next((ROOT / "contracts/node_modules/@foundry-rs").glob("anvil-*/bin/anvil"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments = [
            "--port",
            str(port),
            "--hardfork",
            "prague",
            "--gas-limit",
            "60000000",
            "--timestamp",
            str(START),
            "--silent",
        ]
        self.process = subprocess.Popen([str(binary), *arguments], stdout=subprocess.DEVNULL)
        self._system: frozenset[str] = frozenset()
        """Accounts of the genesis that belong to the node, such as EIP-2935's history of blocks."""
        self.url = f"http://127.0.0.1:{port}"
        self._ready()
        self.relayer = self.rpc("eth_accounts")[0]
        self.chain_id = int(self.rpc("eth_chainId"), 16)
        self.now = START + 1
        self._system = frozenset(self.dump())

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def rpc(self, method: str, *parameters: Any) -> Any:
        """One call; an error in the answer is raised as ``RpcError``."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def _ready(self) -> None:
        for _ in range(200):
            try:
                self.rpc("eth_chainId")
            except urllib.error.URLError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError("anvil does not answer")

    @contextmanager
    def rewound(self) -> Iterator[None]:
        snapshot, now = self.rpc("evm_snapshot"), self.now
        try:
            yield
        finally:
            self.rpc("evm_revert", snapshot)
            self.now = now

    def settle(self) -> None:
        """Do nothing: the cost of a rewind is the same at every block of anvil."""

    def nonce(self) -> int:
        return int(self.rpc("eth_getTransactionCount", self.relayer, "latest"), 16)

    def code_size(self, address: str) -> int:
        return len(self.rpc("eth_getCode", address, "latest")) // 2 - 1

    def storage(self, contract: Contract, slot: int) -> bytes:
        word: str = self.rpc("eth_getStorageAt", contract.address, hex(slot), "latest")
        return bytes.fromhex(word[2:])

    def dump(self) -> dict[str, dict[int, int]]:
        """All storage of all deployed contracts: address -> slot -> word, zeros left out."""
        state = json.loads(gzip.decompress(bytes.fromhex(self.rpc("anvil_dumpState")[2:])))
        return {
            address.lower(): {
                int(slot, 16): int(word, 16) for slot, word in account["storage"].items() if int(word, 16)
            }
            for address, account in state["accounts"].items()
            if address.lower() not in self._system
        }

    def logs(self) -> dict[str, list[dict[str, Any]]]:
        """Every log since the first block, by the address of the contract."""
        found: dict[str, list[dict[str, Any]]] = {}
        for log in self.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}):
            found.setdefault(log["address"].lower(), []).append(log)
        return found

    def _transact(self, request: dict[str, Any]) -> Any:
        self.rpc("evm_setNextBlockTimestamp", self.now)
        hashed = self.rpc("eth_sendTransaction", {"from": self.relayer, "gas": hex(GAS_LIMIT), **request})
        self.now += 1
        while (receipt := self.rpc("eth_getTransactionReceipt", hashed)) is None:
            time.sleep(0.005)
        if receipt["status"] != "0x1":
            raise AssertionError("the transaction failed, and the same call did not")
        return {
            "gas_used": int(receipt["gasUsed"], 16),
            "logs": receipt["logs"],
            "block_number": int(receipt["blockNumber"], 16),
            "contract_address": receipt["contractAddress"],
        }

    def _call(self, abi: Abi, request: dict[str, Any]) -> bytes:
        call = {"from": self.relayer, "gas": hex(GAS_LIMIT), **request}
        try:
            answer: str = self.rpc("eth_call", call, "latest", {}, {"time": hex(self.now)})
        except RpcError as error:
            raise abi.error(bytes.fromhex(error.data.removeprefix("0x"))) from None
        return bytes.fromhex(answer[2:])


class RpcError(Exception):
    """An error in the node's answer; ``data`` is the revert data in hex."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.data: str = error.get("data") or ""
