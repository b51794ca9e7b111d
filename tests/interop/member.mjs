// One member of a conversation whose MLS is ts-mls. Reads one command as JSON from each line of its
// input and answers with one line: what came of it, or {"refused": why}. Bytes are hexadecimal.

import { randomBytes, webcrypto } from "node:crypto";
import { createInterface } from "node:readline";

// Node 18 has it, but not under this name.
globalThis.crypto ??= webcrypto;
const mls = await import("ts-mls");
const { Key, certified, certify, open, seal, sha256 } = await import("./restante.mjs");

const SUITE = 0x0003;
const SUITES = [0x004e, SUITE];
const READER = 0xf0a1;
const LAST_RESORT = 0x000a;
// Of the group's own extension and of the reader's: a group with either is joined.
const EXTENSIONS = [READER, 0xf0a2, LAST_RESORT];
const LIFETIME = { notBefore: 0n, notAfter: 2n ** 64n - 1n };

// ts-mls has names for numbers; its name for 0x004E is another draft's.
const suiteName = (number) =>
  Object.keys(mls.ciphersuites).find((name) => mls.ciphersuites[name] === number);
const cs = await mls.getCiphersuiteImpl(mls.getCiphersuiteFromName(suiteName(SUITE)));

const account = new Key(randomBytes(32));
const seed = randomBytes(32);
const device = new Key(seed);
const certificate = certify(account, device.public, 1, 1, "another implementation");

// CNV-3, CNV-4, CNV-7, CNV-8
const config = {
  keyRetentionConfig: {
    retainKeysForGenerations: 32,
    retainKeysForEpochs: 0,
    maximumForwardRatchetSteps: 4_096,
  },
  lifetimeConfig: mls.defaultLifetimeConfig,
  keyPackageEqualityConfig: mls.defaultKeyPackageEqualityConfig,
  // Records are padded already.
  paddingConfig: { kind: "alwaysPad", paddingLength: 0 },
  authService: {
    async validateCredential(credential, key) {
      return certified(Buffer.from(credential.identity)).equals(Buffer.from(key));
    },
  },
};

let offered;
let state;
let pending;

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (text) => Buffer.from(text, "hex");
const noPsk = () => mls.makePskIndex(state, {});

// A message without the four bytes of version and wire format is the structure itself.
const bare = (message) => mls.encodeMlsMessage({ version: "mls10", ...message }).slice(4);

function decoded(encoded, wireformat) {
  const [message, length] = mls.decodeMlsMessage(encoded, 0) ?? [undefined, 0];
  // CNV-5
  if (message?.wireformat !== wireformat || length !== encoded.length) {
    throw new Error(`no ${wireformat}`);
  }
  return message;
}

// CNV-6, REC-2: 32 bytes of a state's exporter; its context is the mailbox (CNV-1).
async function exported(from, label) {
  const { groupContext, keySchedule } = from;
  const context = groupContext.groupId;
  return mls.mlsExporter(keySchedule.exporterSecret, label, context, 32, cs);
}

async function told(from) {
  const seed = Buffer.from(await exported(from, "restante epoch key v1"));
  const authenticator = hex(from.keySchedule.epochAuthenticator);
  return { epoch_key: hex(new Key(seed).public), authenticator };
}

function placed({ mailbox, epoch, envelope, class: kind }) {
  return { mailbox: bytes(mailbox), epoch: bytes(epoch), envelope: bytes(envelope), kind };
}

const own = () => state.privatePath.leafIndex;

function leafAt(number) {
  const node = state.ratchetTree[2 * number];
  if (node === undefined) throw new Error("not a member");
  return node.leaf;
}

// REC-1: `signer` is another than the own leaf only to see that it is refused.
async function sealed(place, message, signer = own()) {
  const key = await exported(state, "restante record key v1");
  const encoded = Buffer.from(mls.encodeMlsMessage(message));
  return hex(seal(key, placed(place), signer, device, encoded, randomBytes(24)));
}

async function commit(place, extraProposals) {
  const context = { state, cipherSuite: cs };
  const made = await mls.createCommit(context, { extraProposals, ratchetTreeExtension: true });
  const record = await sealed(place, made.commit);
  pending = made.newState;
  const welcome = made.welcome && { wireformat: "mls_welcome", welcome: made.welcome };
  const encoded = welcome && hex(mls.encodeMlsMessage({ version: "mls10", ...welcome }));
  return { record, welcome: encoded, ...(await told(pending)) };
}

const commands = {
  async package() {
    const capabilities = {
      versions: ["mls10"],
      ciphersuites: SUITES.map(suiteName),
      extensions: EXTENSIONS,
      proposals: [],
      credentials: ["basic"],
    };
    const credential = { credentialType: "basic", identity: certificate };
    const reader = sha256(randomBytes(16));
    const extension = { extensionType: READER, extensionData: reader };
    const keys = { signKey: seed, publicKey: device.public };
    offered = await mls.generateKeyPackageWithKey(
      credential, capabilities, LIFETIME, [], keys, cs, [extension],
    );
    const message = { wireformat: "mls_key_package", keyPackage: offered.publicPackage };
    return { package: hex(bare(message)), reader: hex(reader), account: hex(account.public) };
  },

  async join({ mailbox, welcome }) {
    const message = decoded(bytes(welcome), "mls_welcome");
    const { publicPackage, privatePackage } = offered;
    const joined = await mls.joinGroup(
      message.welcome, publicPackage, privatePackage, mls.emptyPskIndex, cs,
      undefined, undefined, config,
    );
    // CNV-1
    if (hex(joined.groupContext.groupId) !== mailbox) throw new Error("another group");
    state = joined;
    return { leaf: own(), ...(await told(state)) };
  },

  async say({ place, content }) {
    const made = await mls.createApplicationMessage(state, bytes(content), cs);
    const { privateMessage } = made;
    const message = { version: "mls10", wireformat: "mls_private_message", privateMessage };
    const record = await sealed(place, message);
    state = made.newState;
    return { record };
  },

  async read({ place, record }) {
    const key = await exported(state, "restante record key v1");
    const deviceOf = (leaf) => certified(Buffer.from(leafAt(leaf).credential.identity));
    const { leaf, message } = open(key, placed(place), bytes(record), deviceOf);
    const { privateMessage } = decoded(message, "mls_private_message");
    const read = await mls.processPrivateMessage(state, privateMessage, noPsk(), cs);
    state = read.newState;
    if (read.kind === "applicationMessage") return { sender: leaf, content: hex(read.message) };
    pending = undefined;
    if (state.groupActiveState.kind !== "active") return { removed: true };
    return { sender: leaf, ...(await told(state)) };
  },

  async commit({ place }) {
    return commit(place, []);
  },

  async add({ place, package: added }) {
    const head = Buffer.of(0, 1, 0, 5);
    const whole = Buffer.concat([head, bytes(added)]);
    const { keyPackage } = decoded(whole, "mls_key_package");
    return commit(place, [{ proposalType: "add", add: { keyPackage } }]);
  },

  async merge() {
    state = pending;
    pending = undefined;
    return told(state);
  },

  // What CNV-5 forbids: a proposal that stands alone.
  async propose({ place, leaf }) {
    const proposal = { proposalType: "remove", remove: { removed: leaf } };
    const made = await mls.createProposal(state, false, proposal, cs);
    return { record: await sealed(place, made.message) };
  },

  // What REC-4 forbids: an own message under another's leaf.
  async forge({ place, leaf }) {
    const made = await mls.createApplicationMessage(state, Buffer.from("forged"), cs);
    const { privateMessage } = made;
    const message = { version: "mls10", wireformat: "mls_private_message", privateMessage };
    return { record: await sealed(place, message, leaf) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = await commands[command.do](command);
  } catch (error) {
    answer = { refused: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
