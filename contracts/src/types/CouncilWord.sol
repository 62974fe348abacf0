// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// The council's word.
//
//   bits    width  field
//   0-159   160    guardian: may pause
//   160-167 8      threshold: signatures an act of the council needs
//   168-199 32     epoch: counts replacements, from 1
//   200-231 32     admission delay in seconds
//   232-255 24     zero
type CouncilWord is uint256;

using {guardian, threshold, epoch, admissionDelay} for CouncilWord global;

function packCouncil(address guardian_, uint8 threshold_, uint32 epoch_, uint32 admissionDelay_)
    pure
    returns (CouncilWord)
{
    return CouncilWord.wrap(
        uint256(uint160(guardian_)) | uint256(threshold_) << 160 | uint256(epoch_) << 168
            | uint256(admissionDelay_) << 200
    );
}

function guardian(CouncilWord w) pure returns (address) {
    return address(uint160(CouncilWord.unwrap(w)));
}

function threshold(CouncilWord w) pure returns (uint8) {
    return uint8(CouncilWord.unwrap(w) >> 160);
}

function epoch(CouncilWord w) pure returns (uint32) {
    return uint32(CouncilWord.unwrap(w) >> 168);
}

function admissionDelay(CouncilWord w) pure returns (uint32) {
    return uint32(CouncilWord.unwrap(w) >> 200);
}
