// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {GrantRules} from "./GrantRules.sol";
import {AssetView} from "./interfaces/IAssets.sol";
import {Access, GrantView, Terms} from "./interfaces/IGrants.sol";
import {AssetWord} from "./types/AssetWord.sol";
import {
    BUREAU,
    CDO,
    CLASS_CORE,
    CLASS_IMPORTANT,
    DEPARTMENT_ACTIVE,
    GRANT_FLAG_DELEGATED,
    KEY_READER,
    RIGHT_OPERATE,
    RIGHT_USE,
    STEWARD
} from "./types/Codes.sol";
import {GrantWord} from "./types/GrantWord.sol";
import {KeyWord} from "./types/KeyWord.sol";

/// @title What a light client asks about assets and grants (IAssets, IGrants)
abstract contract LedgerViews is GrantRules {
    /// @dev IAssets
    function asset(uint64 id) public view returns (AssetView memory) {
        AssetWord word = _assets[id];
        (uint8 class, uint8 sharing, bool alive) = _effective(id, word);
        return AssetView({
            holder: word.holder(),
            processor: word.holderOf(RIGHT_USE),
            operator: word.holderOf(RIGHT_OPERATE),
            class: class,
            ownClass: word.class(),
            sharing: sharing,
            ownSharing: word.sharing(),
            quorum: class == 0
                ? 0
                : STEWARD | (class >= CLASS_IMPORTANT ? CDO : 0) | (class == CLASS_CORE ? BUREAU : 0),
            since: word.since(),
            version: word.version(),
            status: word.status(),
            parents: word.parents(),
            lineage: word.lineage(),
            alive: alive
        });
    }

    /// @dev IAssets
    function parentsOf(uint64 id) external view returns (uint64[] memory parents, bytes32[] memory under) {
        return (_lineages[id].parents, _lineages[id].under);
    }

    /// @dev IGrants
    function grantOf(bytes32 id) public view returns (GrantView memory) {
        GrantWord g = _grants[id].word;
        return GrantView({
            state: g.state(),
            flags: g.status() >> 4,
            right: g.right(),
            grantee: g.grantee(),
            asset: g.asset(),
            notBefore: g.notBefore(),
            expiry: g.expiry(),
            maxUses: g.maxUses(),
            uses: g.uses(),
            depth: g.depth(),
            mayDerive: g.mayDerive(),
            spent: g.isSpent(),
            live: _isLiveAlone(g)
        });
    }

    /// @dev IGrants
    function isLive(bytes32 id, Terms[] calldata chain) public view returns (bool) {
        GrantWord g = _grants[id].word;
        if (!_isLiveAlone(g) || !_holderActive(g)) return false;
        if (g.grantee() != 0 && _standing(g.grantee()) != DEPARTMENT_ACTIVE) return false;
        if (g.status() & GRANT_FLAG_DELEGATED == 0) return true;
        for (uint256 i = 0; i < chain.length; ++i) {
            if (_idOf(chain[i]) != id || (i != 0 && !_isAncestor(id))) return false;
            id = chain[i].parent;
        }
        return id == 0;
    }

    /// @dev IGrants
    function liveOf(bytes32[] calldata ids) external view returns (bool[] memory live) {
        live = new bool[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            live[i] = _isLiveAlone(_grants[ids[i]].word);
        }
    }

    /// @dev IGrants
    function termsDigest(Terms calldata t) external view returns (bytes32 id, bytes32 digest) {
        id = _idOf(t);
        digest = _digest(id);
    }

    /// @dev IGrants
    function access(bytes32 id, Terms[] calldata chain, uint24 department, bytes32 key)
        external
        view
        returns (Access memory a)
    {
        KeyWord word = _serviceKeys[department][key].word;
        a.live = isLive(id, chain);
        a.holderActive = _holderActive(_grants[id].word);
        a.departmentActive = _standing(department) == DEPARTMENT_ACTIVE;
        a.keyActive = a.departmentActive && word.isValid(block.timestamp);
        a.keyRoles = word.roles();
        a.time = uint40(block.timestamp);
        a.grant = grantOf(id);
        a.asset = asset(a.grant.asset);
        bool ours = a.grant.grantee == department || a.grant.grantee == 0;
        a.permitted = a.live && a.keyActive && ours && a.keyRoles & KEY_READER != 0;
    }

    /// @dev The department that holds the right; of no grant or a cancelled one nobody does.
    function _holderActive(GrantWord g) private view returns (bool) {
        return _standing(_assets[g.asset()].holderOf(g.right())) == DEPARTMENT_ACTIVE;
    }

    /// @dev Active, in its time, not spent, of an asset that is alive; ancestors are asked elsewhere.
    function _isLiveAlone(GrantWord g) private view returns (bool alive) {
        if (g.isOpen(block.timestamp) && !g.isSpent()) (,, alive) = _effective(g.asset(), _assets[g.asset()]);
    }
}
