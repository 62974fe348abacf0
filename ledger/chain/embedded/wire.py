"""The JSON-RPC form of blocks, transactions, receipts and logs (Ethereum execution-apis, eth namespace).

All header fields are included, so that a client can compute the block hash and compare it with one from another source.
"""

from __future__ import annotations

from typing import Any

import rlp
from eth.abc import BlockHeaderAPI, SignedTransactionAPI
from eth_utils.address import to_checksum_address

from ledger.chain.client import Log
from ledger.chain.embedded import rules
from ledger.chain.embedded.reader import Body, block_logs, created_contract

Json = Any
"""A value that ``json`` can write."""


def quantity(number: int) -> str:
    """The hex form of a number: 0x and no leading zeros."""
    return hex(number)


def data(value: bytes) -> str:
    """The hex form of bytes: 0x and two digits for each byte."""
    return "0x" + value.hex()


def block(header: BlockHeaderAPI, body: Body, *, full: bool) -> dict[str, Json]:
    """A block; with ``full`` it contains the transactions, otherwise their hashes."""
    transactions: list[Json] = [data(tx_hash) for tx_hash in body.hashes]
    if full:
        transactions = [
            mined_transaction(header, rules.decode_transaction(raw), index)
            for index, raw in enumerate(body.transactions)
        ]
    encoded = len(rlp.encode(header)) + sum(len(raw) for raw in body.transactions)
    return {
        "number": quantity(header.block_number),
        "hash": data(header.hash),
        "parentHash": data(header.parent_hash),
        "nonce": data(header.nonce),
        "sha3Uncles": data(header.uncles_hash),
        "logsBloom": data(header.bloom.to_bytes(256)),
        "transactionsRoot": data(header.transaction_root),
        "stateRoot": data(header.state_root),
        "receiptsRoot": data(header.receipt_root),
        "miner": str(to_checksum_address(header.coinbase)),
        "difficulty": quantity(header.difficulty),
        "extraData": data(header.extra_data),
        "size": quantity(encoded),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "mixHash": data(header.mix_hash),
        "baseFeePerGas": quantity(header.base_fee_per_gas or 0),
        "withdrawalsRoot": data(header.withdrawals_root or b""),
        "blobGasUsed": quantity(header.blob_gas_used),
        "excessBlobGas": quantity(header.excess_blob_gas),
        "parentBeaconBlockRoot": data(header.parent_beacon_block_root or b""),
        "requestsHash": data(header.as_dict()["requests_hash"]),
        "transactions": transactions,
        "uncles": [],
        "withdrawals": [],
    }


def pending_transaction(transaction: SignedTransactionAPI) -> dict[str, Json]:
    """A transaction that is not mined yet."""
    kind = transaction.type_id or 0
    written: dict[str, Json] = {
        "type": quantity(kind),
        "hash": data(transaction.hash),
        "chainId": quantity(transaction.chain_id or 0),
        "nonce": quantity(transaction.nonce),
        "from": str(to_checksum_address(transaction.sender)),
        "to": str(to_checksum_address(transaction.to)) if transaction.to else None,
        "value": quantity(transaction.value),
        "gas": quantity(transaction.gas),
        "gasPrice": quantity(transaction.max_fee_per_gas),
        "input": data(transaction.data),
        "r": quantity(transaction.r),
        "s": quantity(transaction.s),
        "blockHash": None,
        "blockNumber": None,
        "transactionIndex": None,
    }
    if kind == 0:
        parity = transaction.y_parity
        return written | {"v": quantity(35 + 2 * (transaction.chain_id or 0) + parity)}
    access = [
        {
            "address": str(to_checksum_address(address)),
            "storageKeys": [data(slot.to_bytes(32)) for slot in slots],
        }
        for address, slots in transaction.access_list
    ]
    parity_text = quantity(transaction.y_parity)
    written |= {"accessList": access, "v": parity_text, "yParity": parity_text}
    if kind == 2:
        written |= {
            "maxFeePerGas": quantity(transaction.max_fee_per_gas),
            "maxPriorityFeePerGas": quantity(transaction.max_priority_fee_per_gas),
        }
    return written


def mined_transaction(
    header: BlockHeaderAPI, transaction: SignedTransactionAPI, index: int
) -> dict[str, Json]:
    """A mined transaction with its block and index; gasPrice is the price paid."""
    return pending_transaction(transaction) | {
        "gasPrice": quantity(_price(header, transaction)),
        "blockHash": data(header.hash),
        "blockNumber": quantity(header.block_number),
        "transactionIndex": quantity(index),
    }


def receipt(header: BlockHeaderAPI, body: Body, index: int) -> dict[str, Json]:
    """The receipt of a transaction."""
    transaction = rules.decode_transaction(body.transactions[index])
    record = body.receipts[index]
    return {
        "type": quantity(record.kind),
        "transactionHash": data(body.hashes[index]),
        "transactionIndex": quantity(index),
        "blockHash": data(header.hash),
        "blockNumber": quantity(header.block_number),
        "from": str(to_checksum_address(transaction.sender)),
        "to": str(to_checksum_address(transaction.to)) if transaction.to else None,
        "cumulativeGasUsed": quantity(record.cumulative_gas),
        "gasUsed": quantity(body.gas_used(index)),
        "effectiveGasPrice": quantity(_price(header, transaction)),
        "contractAddress": created_contract(transaction) if record.status else None,
        "logs": [log(entry, index) for entry in block_logs(header, body, index)],
        "logsBloom": data(record.bloom),
        "status": quantity(record.status),
    }


def log(entry: Log, transaction_index: int) -> dict[str, Json]:
    """One event."""
    return {
        "address": entry.address,
        "topics": list(entry.topics),
        "data": data(entry.data),
        "blockNumber": quantity(entry.block_number),
        "blockHash": entry.block_hash,
        "transactionHash": entry.tx_hash,
        "transactionIndex": quantity(transaction_index),
        "logIndex": quantity(entry.log_index),
        "removed": False,
    }


def _price(header: BlockHeaderAPI, transaction: SignedTransactionAPI) -> int:
    """The price paid per gas in wei (EIP-1559): base fee plus tip, limited by the maximum fee."""
    wanted = (header.base_fee_per_gas or 0) + int(transaction.max_priority_fee_per_gas)
    return min(int(transaction.max_fee_per_gas), wanted)
