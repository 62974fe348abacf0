// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetActs} from "./AssetActs.sol";
import {Emergencies} from "./Emergencies.sol";
import {GrantActs} from "./GrantActs.sol";
import {LEDGER_NAME, LEDGER_VERSION, LedgerPart} from "./LedgerPart.sol";
import {LedgerViews} from "./LedgerViews.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";

/// @title The part of the ledger's code with the rarer acts on assets and grants, and their views
contract Stewardship is LedgerPart, AssetActs, GrantActs, Emergencies, LedgerViews {
    constructor(bytes32 salt_) SaltedDomain(LEDGER_NAME, LEDGER_VERSION, salt_) {}

    function _home() internal view override(LedgerPart, SaltedDomain) returns (address) {
        return super._home();
    }
}
