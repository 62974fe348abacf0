// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// An asset in one slot. Its id is `department << 40 | sequence`; the metadata hash is in the events.
//
//   bits    width  field
//   0-23    24     holder: may grant the holding right, and keeps the asset
//   24-47   24     processor: may grant the processing-and-use right
//   48-71   24     operator: may grant the product-operation right
//   72-79   8      class: 1 general, 2 important, 3 core
//   80-87   8      sharing: 1 unconditional, 2 conditional, 3 none
//   88-127  40     since: block time of registration
//   128-159 32     version, from 1
//   160-167 8      status: 1 active, 2 suspended by holder, 3 barred by bureau, 4 retired, 5 suspended and barred
//   168-175 8      number of parents; 0 for an original
//   176-183 8      lineage: steps of derivation; 0 for an original
//   184-191 8      nodes: assets that are looked at for it, itself included; 0 for an original
//   192-255 64     zero
//
// The quorum of a grant follows from class (AssetRules); it has no field of its own that could disagree.
type AssetWord is uint256;

using {
    holder,
    holderOf,
    class,
    sharing,
    since,
    version,
    status,
    parents,
    lineage,
    nodes,
    isPlain,
    withHolderOf,
    withGrades,
    withVersion,
    withStatus
} for AssetWord global;

function packAsset(
    uint24 department,
    uint8 class_,
    uint8 sharing_,
    uint40 since_,
    uint8 status_,
    uint8 parents_,
    uint8 lineage_,
    uint8 nodes_
) pure returns (AssetWord) {
    return AssetWord.wrap(
        uint256(department) * 0x1000001000001 | uint256(class_) << 72 | uint256(sharing_) << 80
            | uint256(since_) << 88 | uint256(1) << 128 | uint256(status_) << 160 | uint256(parents_) << 168
            | uint256(lineage_) << 176 | uint256(nodes_) << 184
    );
}

function holder(AssetWord w) pure returns (uint24) {
    return uint24(AssetWord.unwrap(w));
}

// Of a right 1-3; the caller has checked the range. Right 0 has holder 0, who is nobody: the shift is beyond the word.
function holderOf(AssetWord w, uint8 right) pure returns (uint24) {
    unchecked {
        return uint24(AssetWord.unwrap(w) >> (24 * (uint256(right) - 1)));
    }
}

function class(AssetWord w) pure returns (uint8) {
    return uint8(AssetWord.unwrap(w) >> 72);
}

function sharing(AssetWord w) pure returns (uint8) {
    return uint8(AssetWord.unwrap(w) >> 80);
}

function since(AssetWord w) pure returns (uint40) {
    return uint40(AssetWord.unwrap(w) >> 88);
}

function version(AssetWord w) pure returns (uint32) {
    return uint32(AssetWord.unwrap(w) >> 128);
}

function status(AssetWord w) pure returns (uint8) {
    return uint8(AssetWord.unwrap(w) >> 160);
}

function parents(AssetWord w) pure returns (uint8) {
    return uint8(AssetWord.unwrap(w) >> 168);
}

function lineage(AssetWord w) pure returns (uint8) {
    return uint8(AssetWord.unwrap(w) >> 176);
}

// Of an original 1, although its word says 0.
function nodes(AssetWord w) pure returns (uint256) {
    uint256 stored = uint8(AssetWord.unwrap(w) >> 184);
    return stored == 0 ? 1 : stored;
}

// Active and not derived: nothing else needs to be asked.
function isPlain(AssetWord w) pure returns (bool) {
    return uint16(AssetWord.unwrap(w) >> 160) == 1;
}

function withHolderOf(AssetWord w, uint8 right, uint24 department) pure returns (AssetWord) {
    uint256 shift = 24 * (uint256(right) - 1);
    return AssetWord.wrap(AssetWord.unwrap(w) & ~(uint256(type(uint24).max) << shift) | uint256(department) << shift);
}

function withGrades(AssetWord w, uint8 class_, uint8 sharing_) pure returns (AssetWord) {
    return AssetWord.wrap(
        AssetWord.unwrap(w) & ~(uint256(0xffff) << 72) | uint256(class_) << 72 | uint256(sharing_) << 80
    );
}

function withVersion(AssetWord w, uint32 version_) pure returns (AssetWord) {
    return AssetWord.wrap(AssetWord.unwrap(w) & ~(uint256(type(uint32).max) << 128) | uint256(version_) << 128);
}

function withStatus(AssetWord w, uint8 status_) pure returns (AssetWord) {
    return AssetWord.wrap(AssetWord.unwrap(w) & ~(uint256(0xff) << 160) | uint256(status_) << 160);
}
