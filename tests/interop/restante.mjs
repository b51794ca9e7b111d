// What Restante puts around MLS, written from spec/08-identity.md and spec/10-conversation.md alone:
// certificates, records, padding. Knows no MLS library and nothing of the project's own code.

import { createHash, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";

const LADDER = [256, 1_024, 5_120, 16_200, 64_800];
const NONCE = 24;
const TAG = 16;
const CLASSES = { normal: 1, quiet: 2, live: 3 };
const LABELS = {
  certificate: "restante device certificate v1",
  record: "restante record v1",
  sender: "restante record sender v1",
};

// DER of RFC 8410 around the 32 bytes of an Ed25519 key.
const SECRET_DER = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_DER = Buffer.from("302a300506032b6570032100", "hex");

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

const label = (text) => Buffer.concat([Buffer.from(text, "ascii"), Buffer.of(0)]);

function number(value, bytes) {
  const written = Buffer.alloc(8);
  written.writeBigUInt64BE(BigInt(value));
  return written.subarray(8 - bytes);
}

// An Ed25519 key from its seed.
export class Key {
  constructor(seed) {
    const der = Buffer.concat([SECRET_DER, seed]);
    this.secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    const exported = createPublicKey(this.secret).export({ format: "der", type: "spki" });
    this.public = exported.subarray(PUBLIC_DER.length);
  }

  // "Signed under label" (spec/08-identity.md).
  sign(text, bytes) {
    return sign(null, Buffer.concat([label(text), bytes]), this.secret);
  }
}

function check(key, text, bytes, signature, what) {
  const der = Buffer.concat([PUBLIC_DER, key]);
  const read = createPublicKey({ key: der, format: "der", type: "spki" });
  if (!verify(null, Buffer.concat([label(text), bytes]), read, signature)) {
    throw new Error(`bad signature: ${what}`);
  }
}

// IDN-3
export function certify(account, device, numbered, created, name) {
  const text = Buffer.from(name, "utf8");
  const body = Buffer.concat([
    Buffer.of(1), account.public, device, number(numbered, 4), number(created, 8),
    Buffer.of(text.length), text,
  ]);
  return Buffer.concat([body, account.sign(LABELS.certificate, body)]);
}

// IDN-3, CNV-3: the device's key, after checking that its account vouches for it.
export function certified(bytes) {
  const named = 1 + 32 + 32 + 4 + 8;
  const body = named + 1 + (bytes[named] ?? 0);
  if (bytes[0] !== 1 || bytes[named] > 64 || bytes.length !== body + 64) {
    throw new Error("malformed: device certificate");
  }
  const signature = bytes.subarray(body);
  check(bytes.subarray(1, 33), LABELS.certificate, bytes.subarray(0, body), signature, "certificate");
  return bytes.subarray(33, 65);
}

// REC-3
function pad(content) {
  const size = LADDER.find((step) => step >= NONCE + TAG + 4 + content.length);
  if (size === undefined) throw new Error("too large for the ladder");
  const padded = Buffer.alloc(size - NONCE - TAG);
  padded.writeUInt32BE(content.length);
  content.copy(padded, 4);
  return padded;
}

// REC-3
function unpad(padded, size) {
  const end = 4 + padded.readUInt32BE(0);
  const zeros = padded.subarray(end).every((byte) => byte === 0);
  if (!LADDER.includes(size) || end > padded.length || !zeros) throw new Error("bad padding");
  return padded.subarray(4, end);
}

// REC-2
function associated({ mailbox, epoch, envelope, kind }) {
  return Buffer.concat([label(LABELS.record), mailbox, epoch, envelope, Buffer.of(CLASSES[kind])]);
}

// REC-4
function signed({ mailbox, epoch, envelope }, message) {
  return Buffer.concat([mailbox, epoch, envelope, sha256(message)]);
}

// REC-1, REC-4
export function seal(key, place, leaf, device, message, nonce) {
  const signature = device.sign(LABELS.sender, signed(place, message));
  const padded = pad(Buffer.concat([number(leaf, 4), signature, message]));
  return Buffer.concat([nonce, xchacha20poly1305(key, nonce, associated(place)).encrypt(padded)]);
}

// REC-1, REC-4: leaf and MLS message, after checking that the leaf's device signed it. `deviceOf`
// gives the key of a leaf.
export function open(key, place, record, deviceOf) {
  const nonce = record.subarray(0, NONCE);
  const cipher = xchacha20poly1305(key, nonce, associated(place));
  const padded = Buffer.from(cipher.decrypt(record.subarray(NONCE)));
  const content = unpad(padded, record.length);
  const leaf = content.readUInt32BE(0);
  const signature = content.subarray(4, 68);
  const message = content.subarray(68);
  check(deviceOf(leaf), LABELS.sender, signed(place, message), signature, "record");
  return { leaf, message };
}
