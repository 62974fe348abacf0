// Solidity's SMTChecker over contracts/analysis/proofs, with z3 as the solver:
//   node contracts/analysis/smt.cjs [NAME ...]
// Exit 0 when every assertion of every proof is proved, and of its broken twin is not; the rest is printed and fails.
"use strict";
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const root = path.join(__dirname, "..");
const solc = require(path.join(root, "node_modules", "solc"));

const Z3 = process.env.Z3 || [path.join(root, "..", ".venv", "bin", "z3"), "z3"].find((z) => spawnSync(z, ["--version"]).status === 0);
const SECONDS = Number(process.env.SMT_SECONDS || 120);
const ENGINE = { GrantLife: "chc", PoolBalances: "chc", SplitExact: "bmc" };
/** A line of each proof, and what it says in the broken twin: a checker that proves this too proves nothing. */
const BROKEN = {
  GrantLife: ["require(state == GRANT_ACTIVE && clock >= notBefore && clock < expiry);\n        require(total", "require(total"],
  PoolBalances: ["require(myDeposits + amount <= MOST_DEPOSITED);", "require(amount <= MOST_DEPOSITED);"],
  SplitExact: ["left < takers", "left + 1 < takers"],
};

let queries = 0;
function solve(query) {
  queries += 1;
  const done = spawnSync(Z3, ["-in", "-smt2", `-T:${SECONDS}`], { input: query, encoding: "utf8", maxBuffer: 1 << 28 });
  return { contents: done.stdout || "unknown\n" };
}

function read(name) {
  const file = path.normalize(path.join(root, name));
  return fs.existsSync(file) ? { contents: fs.readFileSync(file, "utf8") } : { error: `not found: ${name}` };
}

function prove(name, [line, instead]) {
  const file = `analysis/proofs/${name}.sol`;
  const text = fs.readFileSync(path.join(root, file), "utf8");
  if (!text.includes(line)) throw new Error(`${name} has no line ${line}`);
  const input = {
    language: "Solidity",
    sources: { [file]: { content: text.replace(line, instead) } },
    settings: {
      modelChecker: {
        contracts: { [file]: [name] },
        engine: ENGINE[name],
        solvers: ["smtlib2"],
        targets: ["assert"],
        timeout: SECONDS * 1000,
        showProvedSafe: true,
        showUnproved: true,
        showUnsupported: true,
        divModNoSlacks: true,
      },
      outputSelection: { "*": { "*": ["abi"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read, smtSolver: solve }));
  return (output.errors || []).filter((e) => !/deprecated/.test(e.message));
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(ENGINE);
let open = 0;
for (const name of names) {
  const begun = Date.now();
  queries = 0;
  const messages = prove(name, ["contract", "contract"]);
  const rest = messages.filter((m) => !/check is safe/.test(m.message));
  const twin = prove(name, BROKEN[name]).filter((m) => /violation happens/.test(m.message));
  const proved = messages.length - rest.length;
  if (rest.length || !proved || !twin.length) open += 1;
  for (const message of rest) process.stdout.write(`${message.formattedMessage}\n`);
  process.stdout.write(
    `${name} (${ENGINE[name]}): ${proved} assertions proved, ${rest.length} not; broken twin: ${twin.length} violations found; ` +
      `${queries} queries, ${((Date.now() - begun) / 1000).toFixed(1)} s\n`,
  );
}
process.exit(open ? 1 : 0);
