// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// The break-glass acts of one department that wait for ratification: six times, 40 bits each, by
// which another department's oversight must have ratified. An entry that is past due means that the
// privilege is lost; nobody has to report it.
//
//   bits        width  field
//   40i-40i+39  40     due time of open act i (0-5); 0 = free
//   240-255     16     zero
type EmergencyWord is uint256;

uint256 constant OPEN_ACTS_MAX = 6;

using {due, overdue, opened, closed} for EmergencyWord global;

function due(EmergencyWord w, uint256 i) pure returns (uint40) {
    return uint40(EmergencyWord.unwrap(w) >> (40 * i));
}

// Returns The first due time that has passed, or 0.
function overdue(EmergencyWord w, uint256 time) pure returns (uint40) {
    for (uint256 i = 0; i < OPEN_ACTS_MAX; ++i) {
        uint40 d = due(w, i);
        if (d != 0 && d < time) return d;
    }
    return 0;
}

// Returns changed The word with one more open act.
// Returns found Whether there was room.
function opened(EmergencyWord w, uint40 dueTime) pure returns (EmergencyWord changed, bool found) {
    for (uint256 i = 0; i < OPEN_ACTS_MAX; ++i) {
        if (due(w, i) == 0) return (EmergencyWord.wrap(EmergencyWord.unwrap(w) | uint256(dueTime) << (40 * i)), true);
    }
    return (w, false);
}

// Returns changed The word without one open act that is due then.
// Returns found Whether there was one.
function closed(EmergencyWord w, uint40 dueTime) pure returns (EmergencyWord changed, bool found) {
    for (uint256 i = 0; i < OPEN_ACTS_MAX; ++i) {
        if (due(w, i) == dueTime) {
            return (EmergencyWord.wrap(EmergencyWord.unwrap(w) & ~(uint256(type(uint40).max) << (40 * i))), true);
        }
    }
    return (w, false);
}
