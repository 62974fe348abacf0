// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// What the anchor keeps of a log beside its root.
//
//   bits    width  field
//   0-63    64     size: entries of the log at its last anchored head
//   64-103  40     time: seconds, of the block that anchored it
//   104-135 32     epoch: 0 for a log opened as new, its predecessor's plus one after NewEpoch
//   136-159 24     operator: the department whose attest keys sign its heads
//   160-167 8      quorum: witnesses a head needs, each of another department
//   168-175 8      state: 0 unknown, 1 open, 2 closed (its successor is known)
//   176-255 80     zero
type HeadWord is uint256;

uint8 constant LOG_UNKNOWN = 0;
uint8 constant LOG_OPEN = 1;
uint8 constant LOG_CLOSED = 2;

uint256 constant SIZE_AND_TIME = (1 << 104) - 1;
uint256 constant BELOW_STATE = (1 << 168) - 1;

using {size, time, epoch, operator, quorum, state, advanced, closed} for HeadWord global;

// A log that is open.
function packHead(uint64 size_, uint40 time_, uint32 epoch_, uint24 operator_, uint8 quorum_) pure returns (HeadWord) {
    return HeadWord.wrap(
        uint256(size_) | uint256(time_) << 64 | uint256(epoch_) << 104 | uint256(operator_) << 136
            | uint256(quorum_) << 160 | uint256(LOG_OPEN) << 168
    );
}

function size(HeadWord w) pure returns (uint64) {
    return uint64(HeadWord.unwrap(w));
}

function time(HeadWord w) pure returns (uint40) {
    return uint40(HeadWord.unwrap(w) >> 64);
}

function epoch(HeadWord w) pure returns (uint32) {
    return uint32(HeadWord.unwrap(w) >> 104);
}

function operator(HeadWord w) pure returns (uint24) {
    return uint24(HeadWord.unwrap(w) >> 136);
}

function quorum(HeadWord w) pure returns (uint8) {
    return uint8(HeadWord.unwrap(w) >> 160);
}

function state(HeadWord w) pure returns (uint8) {
    return uint8(HeadWord.unwrap(w) >> 168);
}

function advanced(HeadWord w, uint64 size_, uint40 time_) pure returns (HeadWord) {
    return HeadWord.wrap(HeadWord.unwrap(w) & ~SIZE_AND_TIME | uint256(time_) << 64 | size_);
}

function closed(HeadWord w) pure returns (HeadWord) {
    return HeadWord.wrap(HeadWord.unwrap(w) & BELOW_STATE | uint256(LOG_CLOSED) << 168);
}
