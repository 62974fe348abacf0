// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Line} from "../interfaces/ICostPools.sol";

/// @title What all lines of a statement come to: their root, and what each member receives or pays
/// @notice The table of nets is open-addressed: `department` stands at its low bits or in the next free place. A word is
/// 0 or `net << 32 | 1 << 24 | department`; a net is a sum of fewer than 2^32 amounts of 128 bits and fits.
library Lines {
    uint256 private constant PRESENT = 1 << 24;

    /// @dev Hashed twice, so that no inner node of a tree can pass for a leaf. Straight from calldata: a word with dirty
    /// high bits gives a leaf that nobody committed.
    function leaf(Line calldata line) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let p := mload(0x40)
            calldatacopy(p, line, 128)
            mstore(0, keccak256(p, 128))
            hash := keccak256(0, 32)
        }
    }

    /// @notice The root over all of `lines`, at least one: pairs are hashed first in, first out, until one node is left.
    /// @dev No other hash goes into it, so the root has nothing else below it. The nodes are a ring: the i-th pair's hash
    /// takes the place of a node that was read with it or before.
    function root(Line[] calldata lines) internal pure returns (bytes32 node) {
        bytes32[] memory nodes = new bytes32[](lines.length);
        assembly ("memory-safe") {
            let first := add(nodes, 32)
            let end := add(first, shl(5, lines.length))
            let p := mload(0x40)
            let from := lines.offset
            for { let at := first } lt(at, end) { at := add(at, 32) } {
                calldatacopy(p, from, 128)
                mstore(at, keccak256(p, 128))
                mstore(at, keccak256(at, 32))
                from := add(from, 128)
            }
            node := mload(first)
            let next := first
            for { let at := first } lt(add(at, 32), end) { at := add(at, 32) } {
                let one := mload(next)
                next := add(next, 32)
                if eq(next, end) { next := first }
                let other := mload(next)
                next := add(next, 32)
                if eq(next, end) { next := first }
                switch lt(one, other)
                case 1 {
                    mstore(0, one)
                    mstore(32, other)
                }
                default {
                    mstore(0, other)
                    mstore(32, one)
                }
                node := keccak256(0, 64)
                mstore(at, node)
            }
        }
    }

    /// @notice The table of what each party of `lines` receives in all, below zero pays; and how many parties there are,
    /// no further than one more than `most`.
    function nets(Line[] calldata lines, uint256 most) internal pure returns (int256[] memory table, uint256 found) {
        uint256 size = 2;
        while (size < 2 * most) size <<= 1;
        table = new int256[](size);
        for (uint256 i = 0; i < lines.length; ++i) {
            Line calldata line = lines[i];
            int256 amount = line.amount;
            found += _add(table, line.debtor, -amount);
            if (found > most) break;
            found += _add(table, line.creditor, amount);
            if (found > most) break;
        }
    }

    /// @dev Of a word of the table that is not 0.
    function net(int256 word) internal pure returns (uint24 department, int256 amount) {
        return (uint24(uint256(word)), word >> 32);
    }

    /// @return added 1 where the department was not in the table, which has room.
    function _add(int256[] memory table, uint24 department, int256 amount) private pure returns (uint256 added) {
        assembly ("memory-safe") {
            let last := sub(mload(table), 1)
            let key := or(PRESENT, department)
            let place := and(department, last)
            let at := add(add(table, 32), shl(5, place))
            let word := mload(at)
            for {} iszero(or(iszero(word), eq(and(word, 0xffffffff), key))) {} {
                place := and(add(place, 1), last)
                at := add(add(table, 32), shl(5, place))
                word := mload(at)
            }
            if iszero(word) {
                added := 1
                word := key
            }
            mstore(at, add(word, shl(32, amount)))
        }
    }
}
