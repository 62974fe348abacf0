// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAssets, AssetView} from "../interfaces/IAssets.sol";
import {ISuccessor} from "../interfaces/ICouncil.sol";
import {IDepartmentRecord, IDepartments} from "../interfaces/IDepartments.sol";
import {IGrants, Revoke, Terms} from "../interfaces/IGrants.sol";
import {ISigned} from "../interfaces/ISigned.sol";
import {IUsage, Use} from "../interfaces/IUsage.sol";
import {IWords, LedgerWords} from "../lib/LedgerWords.sol";
import {SaltedDomain} from "../lib/SaltedDomain.sol";
import {SignatureCheck} from "../lib/SignatureCheck.sol";
import {StructHash} from "../lib/StructHash.sol";
import {
    ATTEST,
    BUREAU,
    CDO,
    CLASS_CORE,
    CLASS_GENERAL,
    DEPARTMENT_ACTIVE,
    GATEWAY,
    GRANT_ACTIVE,
    GRANT_FLAG_DELEGATED,
    GRANT_REVOKED,
    RIGHT_OPERATE,
    RIGHT_USE,
    SHARING_NONE,
    STEWARD
} from "../types/Codes.sol";
import {GrantWord, packGrant} from "../types/GrantWord.sol";
import {GuardWord} from "../types/GuardWord.sol";
import {OfficerWord} from "../types/OfficerWord.sol";

/// @notice What the first edition cannot do: a grant that lives goes on for longer, or for more uses.
struct Prolong {
    bytes32 grant;
    uint40 expiry;
    uint32 maxUses;
    uint40 deadline;
}

/// @title A second edition, for rehearsals: never deployed with a city
/// @notice It shows what a successor needs and no more: grants of the first ledger go on here, each taken over on first
/// touch, and can be prolonged; new ones begin here. It keeps nothing that the first ledger still says: seats, departments,
/// assets, the pause and the end of a grant are read there at each act and each view, so that nothing that narrows there is
/// missed. Its own words only widen what stands there, under signatures of its own domain (version 3).
contract SecondLedger is ISuccessor, SaltedDomain {
    using LedgerWords for IWords;

    bytes32 private constant TERMS = keccak256(
        "Terms(uint64 asset,uint24 grantee,uint8 right,uint40 notBefore,uint40 expiry,uint32 maxUses,uint8 depth,uint40 deadline,bytes32 termsHash,bytes32 parent,uint64 salt)"
    );
    bytes32 private constant PROLONG = keccak256("Prolong(bytes32 grant,uint40 expiry,uint32 maxUses,uint40 deadline)");
    bytes32 private constant REVOKE = keccak256("Revoke(bytes32 grant,uint8 reason,uint40 deadline)");
    bytes32 private constant USE = keccak256("Use(bytes32 grant,uint32 total,bytes32 logHead,uint40 deadline)");

    IWords private immutable _first;

    /// A grant that was taken over: `uses` are those recorded here, the rest as it was taken over or prolonged.
    mapping(bytes32 id => GrantWord) private _grants;
    /// The hand-over is done. It cannot be undone, so that it is asked once.
    bool private _begun;

    event Begun();
    /// @notice `word` as types/GrantWord.sol.
    event Adopted(bytes32 indexed grant, bytes32 word);
    event AdoptSkipped(bytes32 indexed grant, uint8 status);
    event Prolonged(bytes32 indexed grant, uint40 expiry, uint32 maxUses, address steward);
    event Given(bytes32 indexed grant, bytes32 word, bytes32 termsHash, address steward);
    event Ended(bytes32 indexed grant, uint8 reason, address by);
    event Recorded(bytes32 indexed grant, uint32 total, bytes32 logHead);

    /// @notice The council of the first ledger has not handed over to this contract, or its second has not come.
    error NotBegun();
    /// @notice Delegated and emergency grants are not prolonged.
    error NotProlongable(bytes32 grant, uint8 status);
    error NotLonger(bytes32 grant);
    error Paused(uint40 until);

    constructor(IDepartments first)
        SaltedDomain("Civic Ledger SharingLedger", "3", first.salt(), address(this))
    {
        _first = IWords(address(first));
    }

    // ---- Acts ------------------------------------------------------------------------------------------------

    /// @notice Anybody, once the hand-over to this contract is done.
    function begin() external {
        if (_first.successor() != address(this) || !_first.guard().isHandedOver(block.timestamp)) revert NotBegun();
        _begun = true;
        emit Begun();
    }

    /// @notice Takes a grant of the first ledger over. Anybody, as often as they like: it decides nothing.
    function adopt(bytes32 id) external {
        _touch(id);
    }

    /// @notice As `adopt`; passes over what has ended, with an event.
    function adoptBatch(bytes32[] calldata ids) external {
        _requireBegun();
        for (uint256 i = 0; i < ids.length; ++i) {
            if (!_grants[ids[i]].isEmpty()) continue;
            GrantWord word = _first.grant(ids[i]);
            if (word.state() == GRANT_ACTIVE) _adopt(ids[i], word);
            else emit AdoptSkipped(ids[i], word.status());
        }
    }

    /// @notice A later end, or more uses, for a grant that lives; the quorum of its asset's class signs.
    function prolong(Prolong calldata m, bytes[] calldata signatures) external {
        _requireInTime(m.deadline);
        _requireUnpaused();
        GrantWord own = _touch(m.grant);
        GrantWord g = _joined(own, m.grant);
        if (g.state() != GRANT_ACTIVE) revert IGrants.GrantNotActive(m.grant, g.status());
        if (block.timestamp >= g.expiry()) revert IGrants.GrantExpired(m.grant, g.expiry());
        if (g.status() != GRANT_ACTIVE) revert NotProlongable(m.grant, g.status());
        if (m.expiry < g.expiry() || m.maxUses < g.maxUses() || (m.expiry == g.expiry() && m.maxUses == g.maxUses())) {
            revert NotLonger(m.grant);
        }
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        address steward = _requireQuorum(_digest(StructHash.flat(PROLONG, at, 4)), signatures, g);
        _grants[m.grant] = packGrant(
            own.status(),
            own.right(),
            own.grantee(),
            own.asset(),
            own.notBefore(),
            m.expiry,
            m.maxUses,
            uint8(GrantWord.unwrap(own) >> 248)
        ).withUses(own.uses());
        emit Prolonged(m.grant, m.expiry, m.maxUses, steward);
    }

    /// @notice A new grant to one department. Terms that were granted or cancelled in the first ledger are not granted again.
    function grant(Terms calldata t, bytes[] calldata signatures) external returns (bytes32 id) {
        _requireInTime(t.deadline);
        _requireBegun();
        _requireUnpaused();
        id = _idOf(t);
        if (t.parent != 0) revert IGrants.ParentWrong(t.parent);
        GrantWord before = _joined(_grants[id], id);
        if (!before.isEmpty()) revert IGrants.GrantExists(id, before.status());
        if (t.grantee == 0 || t.right == 0 || t.right > RIGHT_OPERATE) revert IGrants.TermsMalformed();
        if (t.expiry <= t.notBefore || block.timestamp >= t.expiry) {
            revert IGrants.WindowInvalid(t.notBefore, t.expiry);
        }
        if (t.maxUses == 0) revert IGrants.UsesInvalid(0);
        GrantWord g = packGrant(GRANT_ACTIVE, t.right, t.grantee, t.asset, t.notBefore, t.expiry, t.maxUses, t.depth);
        address steward = _requireQuorum(_digest(id), signatures, g);
        _grants[id] = g;
        emit Given(id, bytes32(GrantWord.unwrap(g)), t.termsHash, steward);
    }

    /// @notice Ends a grant here. One that the first ledger has is ended there just as well, and dead in both.
    function revoke(Revoke calldata m, bytes calldata signature) external {
        _requireInTime(m.deadline);
        GrantWord own = _touch(m.grant);
        GrantWord g = _joined(own, m.grant);
        if (g.state() != GRANT_ACTIVE) revert IGrants.GrantNotActive(m.grant, g.status());
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        address signer = SignatureCheck.recover(_digest(StructHash.flat(REVOKE, at, 3)), signature);
        _requireSeat(signer, _first.asset(g.asset()).holderOf(g.right()), STEWARD | CDO);
        _grants[m.grant] = own.ended(GRANT_REVOKED, block.timestamp);
        emit Ended(m.grant, m.reason, signer);
    }

    /// @notice A total as in the first ledger, and above what was recorded in either.
    function use(Use calldata m, bytes calldata signature) external {
        _requireInTime(m.deadline);
        GrantWord own = _touch(m.grant);
        GrantWord g = _joined(own, m.grant);
        if (!g.takes(m.total, block.timestamp)) revert IUsage.TotalNotHigher(m.grant, m.total, g.uses());
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        address key = SignatureCheck.recover(_digest(StructHash.flat(USE, at, 4)), signature);
        OfficerWord seat = _first.seat(key);
        if (seat.roles() & GATEWAY == 0) {
            _requireSeat(key, _first.asset(g.asset()).holderOf(g.right()), ATTEST);
        } else if (!seat.inOffice(block.timestamp)) {
            revert IDepartmentRecord.NotInOffice(key);
        }
        _requireActive(seat.department());
        _grants[m.grant] = own.withUses(m.total);
        emit Recorded(m.grant, m.total, m.logHead);
    }

    // ---- Views -----------------------------------------------------------------------------------------------

    /// @inheritdoc ISuccessor
    function predecessor() external view returns (address) {
        return address(_first);
    }

    /// @notice Whether the hand-over was seen.
    function begun() external view returns (bool) {
        return _begun;
    }

    /// @notice What holds now: the word as it stands here, joined with what the first ledger says.
    function wordOf(bytes32 id) external view returns (bytes32 word, bool adopted) {
        GrantWord own = _grants[id];
        return (bytes32(GrantWord.unwrap(_joined(own, id))), !own.isEmpty());
    }

    /// @notice As the first ledger's `isLive`, for grants of both. `chain`: the Terms from `id` to the root where it is
    /// delegated, the end of each ancestor being its own.
    function isLive(bytes32 id, Terms[] calldata chain) external view returns (bool) {
        GrantWord g = _joined(_grants[id], id);
        if (!g.isOpen(block.timestamp) || g.isSpent()) return false;
        AssetView memory asset_ = IAssets(address(_first)).asset(g.asset());
        if (!asset_.alive || _first.standing(_holderIn(asset_, g.right())) != DEPARTMENT_ACTIVE) return false;
        if (g.grantee() != 0 && _first.standing(g.grantee()) != DEPARTMENT_ACTIVE) return false;
        if (g.status() & GRANT_FLAG_DELEGATED == 0) return true;
        for (uint256 i = 0; i < chain.length; ++i) {
            if (_idOf(chain[i]) != id) return false;
            g = _joined(_grants[id], id);
            if (!g.isOpen(block.timestamp) || _first.standing(g.grantee()) != DEPARTMENT_ACTIVE) return false;
            id = chain[i].parent;
        }
        return id == 0;
    }

    // ---- Rules -----------------------------------------------------------------------------------------------

    /// @dev The first touch takes the word over, without its uses: those are read where they are recorded.
    function _touch(bytes32 id) private returns (GrantWord own) {
        _requireBegun();
        own = _grants[id];
        if (!own.isEmpty()) return own;
        GrantWord word = _first.grant(id);
        if (word.state() != GRANT_ACTIVE) revert IGrants.GrantNotActive(id, word.status());
        return _adopt(id, word);
    }

    function _adopt(bytes32 id, GrantWord word) private returns (GrantWord own) {
        own = word.withUses(0);
        _grants[id] = own;
        emit Adopted(id, bytes32(GrantWord.unwrap(own)));
    }

    /// @dev What either says that is narrower, but for term and bound, which are its own once it was taken over: ended in
    /// one is ended; the higher total counts.
    function _joined(GrantWord own, bytes32 id) private view returns (GrantWord g) {
        GrantWord first = _first.grant(id);
        if (own.isEmpty() || (first.state() != GRANT_ACTIVE && !first.isEmpty())) return first;
        return first.uses() > own.uses() ? own.withUses(first.uses()) : own;
    }

    function _requireBegun() private view {
        if (!_begun) revert NotBegun();
    }

    /// @dev The guardian of the first ledger pauses both.
    function _requireUnpaused() private view {
        uint40 until = _first.guard().pausedUntil();
        if (block.timestamp <= until) revert Paused(until);
    }

    /// @dev The rule of the first ledger: STEWARD, CDO, BUREAU of another department, by the class of the lineage.
    function _requireQuorum(bytes32 digest, bytes[] calldata signatures, GrantWord g)
        private
        view
        returns (address steward)
    {
        AssetView memory asset_ = IAssets(address(_first)).asset(g.asset());
        if (!asset_.alive || asset_.sharing == SHARING_NONE) revert IGrants.AssetNotShared(g.asset());
        uint24 holder = _holderIn(asset_, g.right());
        _requireActive(holder);
        if (g.grantee() != 0) _requireActive(g.grantee());
        if (signatures.length != asset_.class) revert ISigned.SignatureCount(signatures.length, asset_.class);
        steward = SignatureCheck.recoverAt(digest, signatures, 0);
        _requireSeat(steward, holder, STEWARD);
        if (asset_.class == CLASS_GENERAL) return steward;
        address cdo = SignatureCheck.recoverAt(digest, signatures, 1);
        if (cdo == steward) revert IDepartmentRecord.SignerRepeated(cdo);
        _requireSeat(cdo, holder, CDO);
        if (asset_.class != CLASS_CORE) return steward;
        address bureau = SignatureCheck.recoverAt(digest, signatures, 2);
        uint24 other = _first.seat(bureau).department();
        _requireSeat(bureau, other, BUREAU);
        if (other == holder) revert IAssets.BureauNotIndependent(other);
        _requireActive(other);
    }

    function _requireSeat(address signer, uint24 department, uint16 either) private view {
        OfficerWord seat = _first.seat(signer);
        if (!seat.inOffice(block.timestamp)) revert IDepartmentRecord.NotInOffice(signer);
        if (seat.roles() & either == 0) revert IDepartmentRecord.RoleMissing(signer, seat.roles(), either);
        if (seat.department() != department) {
            revert IDepartmentRecord.WrongDepartment(signer, seat.department(), department);
        }
    }

    function _requireActive(uint24 department) private view {
        uint8 standing = _first.standing(department);
        if (standing != DEPARTMENT_ACTIVE) revert IDepartmentRecord.DepartmentNotActive(department, standing);
    }

    function _holderIn(AssetView memory asset_, uint8 right) private pure returns (uint24) {
        if (right == RIGHT_USE) return asset_.processor;
        return right == RIGHT_OPERATE ? asset_.operator : asset_.holder;
    }

    function _idOf(Terms calldata t) private pure returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := t
        }
        return StructHash.flat(TERMS, at, 11);
    }
}
