// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// The conditions that a grant is bound to: four ids of 64 bits, in the order in which they were bound. None is ever
// taken out.
//
//   bits         width  field
//   64i-64i+63   64     condition i (0-3); 0 = free, as are all after it
type BindingWord is uint256;

uint256 constant CONDITIONS_MAX = 4;

using {conditionAt, count, bound} for BindingWord global;

function conditionAt(BindingWord w, uint256 i) pure returns (uint64) {
    return uint64(BindingWord.unwrap(w) >> (i << 6));
}

function count(BindingWord w) pure returns (uint256 n) {
    while (n < CONDITIONS_MAX && conditionAt(w, n) != 0) ++n;
}

// With one more at place `i`, which is free.
function bound(BindingWord w, uint256 i, uint64 condition) pure returns (BindingWord) {
    return BindingWord.wrap(BindingWord.unwrap(w) | uint256(condition) << (i << 6));
}
