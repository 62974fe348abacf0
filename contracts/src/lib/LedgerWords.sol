// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetWord} from "../types/AssetWord.sol";
import {DeptWord} from "../types/DeptWord.sol";
import {GrantWord} from "../types/GrantWord.sol";
import {GuardWord} from "../types/GuardWord.sol";
import {OfficerWord} from "../types/OfficerWord.sol";

/// @title The ledger, as far as another contract reads its words
interface IWords {
    /// @notice The word of a slot, as it is stored (LedgerState). 4,000 gas where a view costs 12,000 to 17,500.
    function wordAt(bytes32 slot) external view returns (bytes32);
}

/// @title Words of the ledger, for the contracts beside it
/// @notice Words and slots are those of LedgerState, which never change once a ledger is deployed; a test holds the
/// slots against what the compiler laid out.
library LedgerWords {
    uint256 internal constant SEATS = 0;
    uint256 internal constant STANDINGS = 1;
    uint256 internal constant ASSETS = 2;
    uint256 internal constant GRANTS = 3;
    uint256 internal constant GUARD = 4;
    uint256 internal constant SUCCESSOR = 18;

    function seat(IWords ledger, address holder) internal view returns (OfficerWord) {
        return OfficerWord.wrap(_word(ledger, uint160(holder), SEATS));
    }

    function standing(IWords ledger, uint24 department) internal view returns (uint8) {
        return DeptWord.wrap(_word(ledger, department >> 6, STANDINGS)).standing(department);
    }

    function asset(IWords ledger, uint64 id) internal view returns (AssetWord) {
        return AssetWord.wrap(_word(ledger, id, ASSETS));
    }

    function grant(IWords ledger, bytes32 id) internal view returns (GrantWord) {
        return GrantWord.wrap(_word(ledger, uint256(id), GRANTS));
    }

    function guard(IWords ledger) internal view returns (GuardWord) {
        return GuardWord.wrap(uint256(ledger.wordAt(bytes32(GUARD))));
    }

    /// @dev Of the last hand-over that was announced; the guard's word says whether it stands.
    function successor(IWords ledger) internal view returns (address) {
        return address(uint160(uint256(ledger.wordAt(bytes32(SUCCESSOR)))));
    }

    /// @dev Of a mapping: keccak256(key || slot).
    function _word(IWords ledger, uint256 key, uint256 mapping_) private view returns (uint256) {
        bytes32 slot;
        assembly ("memory-safe") {
            mstore(0, key)
            mstore(32, mapping_)
            slot := keccak256(0, 64)
        }
        return uint256(ledger.wordAt(slot));
    }
}
