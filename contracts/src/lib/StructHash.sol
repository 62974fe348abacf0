// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title EIP-712 struct hashes straight from calldata
/// @notice The ABI encoding of a struct of atomic members is its EIP-712 `encodeData`, so it is hashed where
/// it lies. A word with dirty high bits gives a hash that nobody signed.
library StructHash {
    /// @param at Where the struct lies in calldata.
    /// @param words Number of its members.
    function flat(bytes32 typeHash, uint256 at, uint256 words) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let p := mload(0x40)
            mstore(p, typeHash)
            calldatacopy(add(p, 32), at, shl(5, words))
            hash := keccak256(p, add(32, shl(5, words)))
        }
    }

    /// @return hash Of an array of atomic members, as EIP-712 wants it.
    function words(uint256 at, uint256 count) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let p := mload(0x40)
            calldatacopy(p, at, shl(5, count))
            hash := keccak256(p, shl(5, count))
        }
    }

    /// @return hash Of an array of structs, whose hashes these are.
    function list(bytes32[] memory hashes) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(add(hashes, 32), shl(5, mload(hashes)))
        }
    }
}
