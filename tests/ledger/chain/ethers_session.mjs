// A stranger's session with `civic chain serve`, through ethers 6 alone.
// argv: a file beside node_modules, the RPC address, the private key, and the init code of two contracts.
import { createRequire } from "node:module";

const [resolveFrom, url, key, counterCode, refuserCode] = process.argv.slice(2);
const { ethers } = createRequire(resolveFrom)("ethers");

// Blocks come faster here than ethers' cache of 250 ms expects.
const provider = new ethers.JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 50 });
const wallet = new ethers.Wallet(key, provider);
const network = await provider.getNetwork();

const deploy = async (code) => {
  const sent = await wallet.sendTransaction({ data: code });
  return (await sent.wait()).contractAddress;
};
const counter = await deploy(counterCode);
const refuser = await deploy(refuserCode);

const signed = await wallet.sendTransaction({ to: counter, data: "0x68656c6c6f" });
const receipt = await signed.wait();
const byRange = await provider.getLogs({ address: counter, fromBlock: 0, toBlock: "latest" });
const byHash = await provider.getLogs({ blockHash: receipt.blockHash });
const topic = ethers.zeroPadValue("0x01", 32);
const byTopic = await provider.getLogs({ fromBlock: "earliest", toBlock: "latest", topics: [[topic, ethers.ZeroHash]] });

const reason = new ethers.Interface(["error Error(string)"]).encodeErrorResult("Error", ["no consent"]);
let refusal = {};
try {
  await provider.call({ to: refuser, data: reason });
} catch (error) {
  refusal = { code: error.code, reason: error.reason, data: error.data };
}
let estimate = {};
try {
  await wallet.sendTransaction({ to: refuser, data: reason });
} catch (error) {
  estimate = { code: error.code, reason: error.reason };
}
let expired = {};
try {
  await wallet.sendTransaction({ to: counter, nonce: 0 });
} catch (error) {
  expired = { code: error.code };
}
const legacy = await wallet.sendTransaction({ to: counter, type: 0, gasPrice: 100n });
const legacyReceipt = await legacy.wait();
const block = await provider.getBlock(receipt.blockHash, true);
const fees = await provider.getFeeData();

console.log(JSON.stringify({
  chainId: network.chainId.toString(),
  status: receipt.status,
  from: receipt.from,
  counter,
  byRange: byRange.map((log) => [log.address, log.data, log.transactionHash]),
  byHash: byHash.map((log) => [log.address, log.data, log.blockHash === receipt.blockHash]),
  byTopic: byTopic.length,
  refusal,
  estimate,
  expired,
  legacy: [legacyReceipt.status, legacyReceipt.type, (await provider.getTransaction(legacy.hash)).from],
  storage: await provider.getStorage(counter, 0),
  block: [block.hash === receipt.blockHash, block.prefetchedTransactions.length, block.number],
  fees: [fees.maxFeePerGas.toString(), fees.gasPrice.toString()],
  nonce: await provider.getTransactionCount(wallet.address, "pending"),
  transaction: signed.hash,
}));
provider.destroy();
