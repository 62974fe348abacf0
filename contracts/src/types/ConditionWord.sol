// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// A condition in one slot. Its id is `keeper << 40 | sequence`; the commitment is in the event. The slot is the replay
// guard: a condition that was opened is never zero again, and one that ended never opens again.
//
//   bits    width  field
//   0-7     8      state: 0 unknown, 1 open, 2 ended
//   8-15    8      kind: 1 consent, 2 case, 3 order, 4 agreement
//   16-23   8      reason of the end, as signed; 0 while open
//   24-63   40     openedAt: block time
//   64-103  40     endedAt: block time; 0 while open
//   104-255 152    zero
type ConditionWord is uint256;

uint8 constant CONDITION_UNKNOWN = 0;
uint8 constant CONDITION_OPEN = 1;
uint8 constant CONDITION_ENDED = 2;

uint8 constant KIND_CONSENT = 1;
uint8 constant KIND_CASE = 2;
uint8 constant KIND_ORDER = 3;
uint8 constant KIND_AGREEMENT = 4;

using {state, kind, reason, openedAt, endedAt, ended} for ConditionWord global;

// A condition that is open.
function packCondition(uint8 kind_, uint40 openedAt_) pure returns (ConditionWord) {
    return ConditionWord.wrap(uint256(CONDITION_OPEN) | uint256(kind_) << 8 | uint256(openedAt_) << 24);
}

function state(ConditionWord w) pure returns (uint8) {
    return uint8(ConditionWord.unwrap(w));
}

function kind(ConditionWord w) pure returns (uint8) {
    return uint8(ConditionWord.unwrap(w) >> 8);
}

function reason(ConditionWord w) pure returns (uint8) {
    return uint8(ConditionWord.unwrap(w) >> 16);
}

function openedAt(ConditionWord w) pure returns (uint40) {
    return uint40(ConditionWord.unwrap(w) >> 24);
}

function endedAt(ConditionWord w) pure returns (uint40) {
    return uint40(ConditionWord.unwrap(w) >> 64);
}

// The word of an open condition, ended.
function ended(ConditionWord w, uint8 reason_, uint40 time) pure returns (ConditionWord) {
    return ConditionWord.wrap(
        ConditionWord.unwrap(w) & ~uint256(255) | CONDITION_ENDED | uint256(reason_) << 16 | uint256(time) << 64
    );
}
