// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// The standing of 64 departments in one word, so that a grant reads giver and taker together:
// department d stands in word d >> 6, in the four bits from (d & 63) * 4.
//
//   0 not admitted, 1 active, 2 suspended; 3-15 not used
type DeptWord is uint256;

using {standing, withStanding} for DeptWord global;

function standing(DeptWord w, uint24 department) pure returns (uint8) {
    return uint8(DeptWord.unwrap(w) >> ((uint256(department) & 63) << 2)) & 15;
}

function withStanding(DeptWord w, uint24 department, uint8 value) pure returns (DeptWord) {
    uint256 shift = uint256(department & 63) << 2;
    return DeptWord.wrap(DeptWord.unwrap(w) & ~(uint256(15) << shift) | uint256(value) << shift);
}
