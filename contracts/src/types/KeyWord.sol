// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// A service key (Ed25519) of a department: roles and validity. Its HPKE key stands in the next slot.
//
//   bits    width  field
//   0-7     8      roles: 1 reader, 2 auditor of the own department, 4 auditor of the city
//   8-47    40     notBefore
//   48-87   40     notAfter: last second; 2^40-1 = open
//   88-95   8      flags: 1 removed (for ever)
//   96-255  160    zero
type KeyWord is uint256;

uint8 constant KEY_REMOVED = 1;

using {roles, notBefore, notAfter, flags, isEmpty, isValid, removed} for KeyWord global;

function packKey(uint8 roles_, uint40 notBefore_, uint40 notAfter_) pure returns (KeyWord) {
    return KeyWord.wrap(uint256(roles_) | uint256(notBefore_) << 8 | uint256(notAfter_) << 48);
}

function roles(KeyWord w) pure returns (uint8) {
    return uint8(KeyWord.unwrap(w));
}

function notBefore(KeyWord w) pure returns (uint40) {
    return uint40(KeyWord.unwrap(w) >> 8);
}

function notAfter(KeyWord w) pure returns (uint40) {
    return uint40(KeyWord.unwrap(w) >> 48);
}

function flags(KeyWord w) pure returns (uint8) {
    return uint8(KeyWord.unwrap(w) >> 88);
}

function isEmpty(KeyWord w) pure returns (bool) {
    return KeyWord.unwrap(w) == 0;
}

function isValid(KeyWord w, uint256 time) pure returns (bool) {
    return time >= notBefore(w) && time <= notAfter(w) && flags(w) & KEY_REMOVED == 0;
}

function removed(KeyWord w) pure returns (KeyWord) {
    return KeyWord.wrap(KeyWord.unwrap(w) | uint256(KEY_REMOVED) << 88);
}
