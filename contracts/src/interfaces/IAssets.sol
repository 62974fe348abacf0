// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

struct RegisterAsset {
    uint64 asset;
    uint8 class;
    uint8 sharing;
    bytes32 metadata;
    uint40 deadline;
}

/// @notice `under[i]` is the grant under which `parents[i]` may be processed, or 0 where the deriving
/// department is itself the parent's processor.
struct DeriveAsset {
    uint64 asset;
    uint8 class;
    uint8 sharing;
    bytes32 metadata;
    uint64[] parents;
    bytes32[] under;
    uint40 deadline;
}

/// @notice `under`: a newer grant under which `parent` may be processed.
struct RenewParent {
    uint64 asset;
    uint64 parent;
    bytes32 under;
    uint40 deadline;
}

struct NewVersion {
    uint64 asset;
    uint32 version;
    bytes32 metadata;
    uint40 deadline;
}

struct Reclassify {
    uint64 asset;
    uint8 class;
    uint8 sharing;
    uint40 deadline;
    uint64 salt;
}

/// @notice `by`: 1 the holder, 2 the data bureau. Each stops an asset for itself.
struct SuspendAsset {
    uint64 asset;
    uint8 by;
    bytes32 reason;
    uint40 deadline;
    uint64 salt;
}

/// @notice `by` as in SuspendAsset: each lifts only what it stopped.
struct LiftAsset {
    uint64 asset;
    uint8 by;
    bytes32 reason;
    uint40 deadline;
    uint64 salt;
}

struct RetireAsset {
    uint64 asset;
    uint40 deadline;
}

struct TransferRight {
    uint64 asset;
    uint8 right;
    uint24 from;
    uint24 to;
    uint40 deadline;
    uint64 salt;
}

/// @notice An asset as a light client wants it. `class`, `sharing`, `quorum` (role bits) and `alive` count the
/// lineage: the higher grade and the narrower sharing win, and an asset whose parent is stopped is not alive.
/// `ownClass` and `ownSharing` are its own.
struct AssetView {
    uint24 holder;
    uint24 processor;
    uint24 operator;
    uint8 class;
    uint8 ownClass;
    uint8 sharing;
    uint8 ownSharing;
    uint16 quorum;
    uint40 since;
    uint32 version;
    uint8 status;
    uint8 parents;
    uint8 lineage;
    bool alive;
}

/// @title Assets and the three rights to grant them
/// @notice Id = department << 40 | sequence, chosen by the department. The quorum of a grant follows from
/// class: general STEWARD; important + CDO; core + BUREAU. Signatures come in that order, by distinct people.
interface IAssets {
    /// @notice An asset exists from now on; all three rights are its department's. `metadata`: hash of its
    /// catalogue entry.
    event AssetRegistered(
        uint64 indexed asset, uint8 class, uint8 sharing, bytes32 metadata, address officer
    );
    /// @notice Follows AssetRegistered for a derived asset.
    event AssetDerived(uint64 indexed asset, uint64[] parents, bytes32[] under);
    /// @notice The asset lives on under this grant of its parent.
    event ParentRenewed(
        uint64 indexed asset, uint64 indexed parent, bytes32 under, address officer, bytes32 message
    );
    /// @notice The asset's content has a new version with this metadata.
    event AssetVersioned(uint64 indexed asset, uint32 version, bytes32 metadata, address officer);
    /// @notice The asset's own grade and sharing class; what it is derived from may grade it higher.
    event AssetReclassified(uint64 indexed asset, uint8 class, uint8 sharing, address officer, bytes32 message);
    /// @notice `status` 2: suspended by the holder; 3: barred by the data bureau; 5: both.
    event AssetSuspended(uint64 indexed asset, uint8 status, bytes32 reason, address officer, bytes32 message);
    /// @notice One of the two let it go on. `status` 1: it is active again; 2 or 3: the other still stops it.
    event AssetLifted(uint64 indexed asset, uint8 status, bytes32 reason, address officer, bytes32 message);
    /// @notice The asset is out of use for ever.
    event AssetRetired(uint64 indexed asset, address officer);
    /// @notice Who may grant this right of the asset is now `to`.
    event RightTransferred(uint64 indexed asset, uint8 indexed right, uint24 from, uint24 to, bytes32 message);
    /// @notice Another officer than the first signed `subject` (a struct hash) too.
    event CoSigned(bytes32 indexed subject, address indexed officer, uint16 role);

    /// @notice A sequence of 0.
    error AssetIdInvalid(uint64 asset);
    error AssetExists(uint64 asset);
    error AssetUnknown(uint64 asset);
    /// @notice The asset itself has this status; 1 where one it is derived from, or a grant it is derived under, is
    /// stopped.
    error AssetNotActive(uint64 asset, uint8 status);
    /// @notice The asset, or one it is derived from, is not in the state the act needs.
    error AssetStateWrong(uint64 asset, uint8 status);
    error ClassInvalid(uint8 class);
    error SharingInvalid(uint8 sharing);
    error RightInvalid(uint8 right);
    error VersionWrong(uint32 got, uint32 need);
    /// @notice A derived asset is graded at least as high as what it is derived from.
    error ClassBelowParents(uint8 class, uint8 parents);
    /// @notice A derived asset is shared at most as widely as what it is derived from.
    error SharingWiderThanParents(uint8 sharing, uint8 parents);
    error ParentsInvalid(uint256 parents, uint256 under);
    /// @notice Parents come in ascending order, each once.
    error ParentOrder(uint64 parent, uint64 previous);
    error LineageTooDeep(uint64 asset);
    /// @notice More assets would have to be looked at for every grant than are allowed (64).
    error LineageTooLarge(uint64 asset, uint256 nodes);
    error StopperInvalid(uint8 by);
    /// @notice The data bureau co-signs core data of other departments than its own.
    error BureauNotIndependent(uint24 department);
    /// @notice The deriving department may not process this parent.
    error ParentNotGranted(uint64 parent, bytes32 under);
    /// @notice `holder` holds the right, not `claimed`.
    error NotRightHolder(uint64 asset, uint8 right, uint24 holder, uint24 claimed);

    /// @notice A department's asset comes into being; all three rights are its own.
    /// @param signature Of a STEWARD of the asset's department.
    function registerAsset(RegisterAsset calldata m, bytes calldata signature) external;

    /// @notice As `registerAsset`, of data made from others': the higher grade and the narrower sharing win. A
    /// stopped parent stops it, and so does the end of a grant it is derived under (`renewParent`). Such a grant is
    /// direct, live, not spent, and its signed `depth` has the bit 128.
    /// @param signature Of a STEWARD of the asset's department.
    function deriveAsset(DeriveAsset calldata m, bytes calldata signature) external;

    /// @notice A derived asset lives on under a newer grant of its parent.
    /// @param signature Of a STEWARD of the holder.
    function renewParent(RenewParent calldata m, bytes calldata signature) external;

    /// @notice The content of an asset has changed.
    /// @param signature Of a STEWARD of the holder. `version` is the present one plus 1.
    function newVersion(NewVersion calldata m, bytes calldata signature) external;

    /// @notice Grade and sharing class change; higher or narrower at once, otherwise by quorum.
    /// @param signatures To raise the grade or narrow the sharing: one STEWARD or CDO of the holder, or any
    /// BUREAU. Otherwise the quorum of the present class.
    function reclassify(Reclassify calldata m, bytes[] calldata signatures) external;

    /// @notice Stops an asset, and with it all grants of it and all that is derived from it.
    /// @param signature By the holder: of its STEWARD or CDO. By the bureau: of any BUREAU. At once.
    function suspendAsset(SuspendAsset calldata m, bytes calldata signature) external;

    /// @notice Ends what the holder, or the bureau, began with `suspendAsset`. The other's goes on.
    /// @param signature By the holder: of its STEWARD. By the bureau: of any BUREAU.
    function liftAsset(LiftAsset calldata m, bytes calldata signature) external;

    /// @notice Ends an asset.
    /// @param signatures The quorum of the asset's class, of the holder; for general data, whose quorum is one, then a
    /// second officer of it: ADMIN, STEWARD or CDO. There is no way back.
    function retireAsset(RetireAsset calldata m, bytes[] calldata signatures) external;

    /// @notice Who may grant one right of an asset passes to another department. Grants stand.
    /// @param giver The quorum of the asset's class, of the department that holds the right.
    /// @param taker Of a STEWARD of the department that receives it.
    function transferRight(TransferRight calldata m, bytes[] calldata giver, bytes calldata taker) external;

    /// @notice An asset as it stands; status 0 where there is none.
    function asset(uint64 id) external view returns (AssetView memory);

    /// @notice The direct parents, and the grants under which they were derived, or 0.
    function parentsOf(uint64 id) external view returns (uint64[] memory parents, bytes32[] memory under);
}
