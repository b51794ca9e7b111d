#!/usr/bin/env python3
"""Checks the vectors of everything but frames (see check_frames.py) without our codec.

Needs Python 3.9, `cryptography` 48 or later (for ML-KEM), `argon2-cffi`, and `mnemonic` for the
list of words:

    pip install 'cryptography>=48' argon2-cffi mnemonic
    python3 spec/vectors/check.py

Every file of the folders below is one case; the failing ones must fail with the class they name.
Written from the chapters 08 to 15, not from the Rust code.
"""

import hashlib
import hmac
import struct
import sys
import unicodedata
from base64 import urlsafe_b64decode
from pathlib import Path

try:
    from argon2.low_level import Type, hash_secret_raw
    from cryptography.exceptions import InvalidSignature, InvalidTag
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from mnemonic import Mnemonic
except ImportError as error:
    sys.exit(f"check.py needs cryptography 48 or later, argon2-cffi and mnemonic: {error}")

LADDER = (256, 1024, 5120, 16200, 64800)
WEEK = 7 * 86400


class Refused(Exception):
    """A case failed; the argument is the class."""


# Primitives ---------------------------------------------------------------------------------------

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P


def small_order(encoded):
    """Whether a point times 8 is the neutral element. What is no point counts as such."""
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    sign = encoded[31] >> 7
    if y >= P:
        return True
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P:
        return True
    if x % 2 != sign:
        x = P - x
    for _ in range(3):
        t = D * x * x * y * y % P
        x, y = (
            2 * x * y * pow(1 + t, P - 2, P) % P,
            (y * y + x * x) * pow(1 - t, P - 2, P) % P,
        )
    return x == 0 and y == 1


def verify(key, label, message, signature):
    """Ed25519 under a label, strictly (IDN-1, IDN-2)."""
    if small_order(key) or small_order(signature[:32]):
        raise Refused("bad_signature")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, label + b"\0" + message)
    except InvalidSignature:
        raise Refused("bad_signature") from None


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(secret, label, context):
    """HKDF-SHA-256 without salt, 32 bytes (RFC 5869)."""
    extracted = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(extracted, label + b"\0" + context + b"\1", hashlib.sha256).digest()


def hchacha20(key, nonce):
    """HChaCha20 (draft-irtf-cfrg-xchacha)."""
    rot = lambda v, n: ((v << n) | (v >> (32 - n))) & 0xFFFFFFFF
    s = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for first, second, third, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[first] = (s[first] + s[second]) & 0xFFFFFFFF
            s[third] = rot(s[third] ^ s[first], by)

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *s[:4], *s[12:])


def open_sealed(key, nonce, associated, sealed):
    """XChaCha20-Poly1305."""
    cipher = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
    try:
        return cipher.decrypt(bytes(4) + nonce[16:], sealed, associated or None)
    except (InvalidTag, ValueError):
        raise Refused("undecryptable") from None


def raw(public):
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


class XWing:
    """draft-connolly-cfrg-xwing-kem (LET-7)."""

    def __init__(self, seed):
        expanded = hashlib.shake_256(seed).digest(96)
        self.kem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self.dh = X25519PrivateKey.from_private_bytes(expanded[64:])
        self.public = self.kem.public_key().public_bytes_raw() + raw(self.dh.public_key())

    def decapsulate(self, ciphertext):
        kem_secret = self.kem.decapsulate(ciphertext[:1088])
        try:
            dh = self.dh.exchange(X25519PublicKey.from_public_bytes(ciphertext[1088:]))
        except ValueError:
            raise Refused("undecryptable") from None
        own = self.public[1184:]
        return hashlib.sha3_256(kem_secret + dh + ciphertext[1088:] + own + b"\\.//^\\").digest()


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        piece = self.data[self.at : self.at + size]
        if len(piece) != size:
            raise Refused("malformed")
        self.at += size
        return piece

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def rest(self):
        return self.data[self.at :]

    def finish(self):
        if self.rest():
            raise Refused("malformed")


def same(found, named):
    if found != named:
        raise Refused("mismatch")


# Rules --------------------------------------------------------------------------------------------


def unpad_any(padded):
    if len(padded) < 4:
        raise Refused("bad_padding")
    end = 4 + int.from_bytes(padded[:4], "big")
    if end > len(padded) or any(padded[end:]):
        raise Refused("bad_padding")
    return padded[4:end]


def unpad(padded, sealed):
    """REC-3."""
    if sealed not in LADDER:
        raise Refused("bad_padding")
    return unpad_any(padded)


def name_of(c, most):
    """CNT-5, behind one byte of length."""
    said = c.take(c.number(1))
    try:
        text = said.decode()
    except UnicodeDecodeError:
        raise Refused("malformed") from None
    signs = [0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
    misleads = any(unicodedata.category(s) == "Cc" or ord(s) in signs for s in text)
    if len(said) > most or misleads:
        raise Refused("malformed")
    return said


def certificate(data):
    """IDN-3: account, device, number."""
    c = Cursor(data)
    if c.number(1) != 1:
        raise Refused("unsupported")
    account, device, number = c.take(32), c.take(32), c.number(4)
    c.take(8)
    name_of(c, 64)
    body = data[: c.at]
    signature = c.take(64)
    c.finish()
    verify(account, b"restante device certificate v1", body, signature)
    return account, device, number


def fingerprint(account):
    """IDN-9."""
    return sha256(b"restante account fingerprint v1\0", account)[:16]


def check_endorsement(f):
    """TRN-5."""
    message = f["spki"] + f["not_after"]
    verify(f["identity"], b"restante endorsement v1", message, f["signature"])
    not_after, now = (int.from_bytes(f[name], "big") for name in ("not_after", "now"))
    if not_after < now:
        raise Refused("expired")
    if not_after > now + WEEK:
        raise Refused("too_long")


def check_open(f):
    """CMD-20 where a blob is named, CMD-4, and CMD-3 where no relay is named."""
    if "blob" in f:
        message = f["relay"] + f["nonce"] + f["blob"] + f["key"]
        verify(f["key"], b"restante blob v1", message, f["proof"])
    elif "relay" in f:
        message = f["relay"] + f["nonce"] + f["mailbox"] + f["key"]
        verify(f["key"], b"restante open v1", message, f["proof"])
    else:
        verify(f["key"], b"restante possession v1", f["mailbox"] + f["key"], f["proof"])


def check_device_list(f):
    """IDN-4 to IDN-8."""
    data = f["devices"]
    c = Cursor(data)
    if c.number(1) != 1:
        raise Refused("unsupported")
    account = c.take(32)
    c.take(8)
    last = -1
    for _ in range(c.number(1)):
        owner, device, number = certificate(c.take(c.number(2)))
        created, key, signature = c.take(8), c.take(1216), c.take(64)
        verify(device, b"restante letter key v1", device + created + key, signature)
        if owner != account:
            raise Refused("wrong_account")
        if number <= last:
            raise Refused("malformed")
        last = number
    body = data[: c.at]
    signature = c.take(64)
    c.finish()
    verify(account, b"restante device list v1", body, signature)
    same(account, f["account"])
    same(fingerprint(account), f["fingerprint"])


def check_card(f):
    """INV-1, INV-3 to INV-6."""
    coded = f["link"].decode().split("/i1#")[1]
    parts = urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
    inbox, seed, account_print = parts[:16], parts[16:48], parts[48:]
    card = f["card"]
    if len(card) != 2048:
        raise Refused("malformed")
    key = hkdf(seed, b"restante invite card v1", inbox)
    padded = open_sealed(key, card[:24], b"restante card v1\0" + inbox, card[24:])
    c = Cursor(unpad_any(padded))
    account, device, _ = certificate(c.take(c.number(2)))
    letter_key, signature = c.take(1216), c.take(64)
    nick = name_of(c, 64)
    group = None
    if c.rest():
        group = c.take(16), name_of(c, 128)
    c.finish()
    if fingerprint(account) != account_print:
        raise Refused("wrong_account")
    verify(device, b"restante invite key v1", inbox + letter_key, signature)
    write = Ed25519PrivateKey.from_private_bytes(hkdf(seed, b"restante invite write v1", inbox))
    same(raw(write.public_key()), f["write_key"])
    same(letter_key, f["letter_key"])
    same(nick, f["nick"])
    same(group, (f["group"], f["group_name"]) if "group" in f else None)


def check_letter(f):
    """LET-1 to LET-8."""
    if "devices" in f:
        return check_device_list(f)
    if "card" in f:
        return check_card(f)
    letter, secret = f["letter"], XWing(f["secret"])
    c = Cursor(letter)
    header = c.take(2)
    if header[0] != 1:
        raise Refused("unsupported")
    if header[1] not in (1, 8):
        raise Refused("malformed")
    if "account" in f:
        target, expected = b"\1" + f["account"], 8
    else:
        target, expected = b"\2" + sha256(secret.public), 1
    if header[1] != expected:
        raise Refused("not_for_us")
    slots = c.take(header[1] * 1168)
    nonce = c.take(24)
    context = target + f["inbox"] + f["envelope"]
    for number in range(header[1]):
        slot = slots[number * 1168 : (number + 1) * 1168]
        shared = secret.decapsulate(slot[:1120])
        key = hkdf(shared, b"restante letter slot v1", context + bytes([number]))
        try:
            content_key = open_sealed(key, bytes(24), b"", slot[1120:])
            break
        except Refused:
            continue
    else:
        raise Refused("not_for_us")
    associated = b"restante letter body v1\0" + header + context + sha256(slots)
    c = Cursor(unpad(open_sealed(content_key, nonce, associated, c.rest()), len(letter)))
    sender = c.take(c.number(2))
    _, device, _ = certificate(sender)
    number, signature, content = c.take(8), c.take(64), c.rest()
    message = header + context + sha256(slots) + number + sha256(content)
    verify(device, b"restante letter sender v1", message, signature)
    same((sender, number, content), (f["sender"], f["number"], f["content"]))


def check_record(f):
    """REC-1 to REC-4."""
    record = f["record"]
    c = Cursor(record)
    nonce = c.take(24)
    associated = b"restante record v1\0" + f["mailbox"] + f["epoch"] + f["envelope"] + f["class"]
    c = Cursor(unpad(open_sealed(f["key"], nonce, associated, c.rest()), len(record)))
    leaf, signature, message = c.take(4), c.take(64), c.rest()
    signed = f["mailbox"] + f["epoch"] + f["envelope"] + sha256(message)
    verify(f["device"], b"restante record sender v1", signed, signature)
    same((leaf, message), (f["leaf"], f["message"]))


def check_live(f):
    """LIV-1 to LIV-3."""
    record = f["record"]
    c = Cursor(record)
    nonce = c.take(24)
    place = f["mailbox"] + f["epoch"] + f["envelope"]
    associated = b"restante live record v1\0" + place + b"\3"
    c = Cursor(unpad(open_sealed(f["key"], nonce, associated, c.rest()), len(record)))
    leaf, counter, signature, content = c.take(4), c.take(8), c.take(64), c.rest()
    verify(f["device"], b"restante live sender v1", place + counter + sha256(content), signature)
    same((leaf, counter, content), (f["leaf"], f["counter"], f["content"]))


def check_padding(f):
    """REC-3."""
    sealed = len(f["padded"]) + int.from_bytes(f["overhead"], "big")
    same(unpad(f["padded"], sealed), f["content"])


def check_room_card(f, seed, place):
    """ROM-3 to ROM-6."""
    card = f["card"]
    if len(card) != 2048:
        raise Refused("malformed")
    key = hkdf(seed, b"restante room card key v1", place)
    associated = b"restante room card seal v1\0" + place
    data = unpad_any(open_sealed(key, card[:24], associated, card[24:]))
    c = Cursor(data)
    founder, device, _ = certificate(c.take(c.number(2)))
    version, salt, settings = c.take(8), c.take(16), c.take(1)
    name = name_of(c, 128)
    hosts = c.take(32 * c.number(1))
    body = data[: c.at]
    signature = c.take(64)
    c.finish()
    if sha256(b"restante room id v1\0", founder, salt)[:16] != place[:16]:
        raise Refused("wrong_account")
    verify(device, b"restante room card v1", place[:16] + body, signature)
    accounts = [hosts[at : at + 32] for at in range(0, len(hosts), 32)]
    if len(accounts) > 16 or founder not in accounts:
        raise Refused("malformed")
    for label, named in ((b"read", "read_key"), (b"write", "write_key")):
        key = hkdf(seed, b"restante room " + label + b" v1", place)
        same(raw(Ed25519PrivateKey.from_private_bytes(key).public_key()), f[named])
    said = (version, bytes([settings[0] & 1]), name, hosts)
    same(said, (f["version"], f["settings"], f["name"], f["hosts"]))


def check_room(f):
    """ROM-1, ROM-7 to ROM-10."""
    coded = f["link"].decode().split("/r1#")[1]
    parts = urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
    room, number, seed = parts[:16], parts[16:20], parts[20:]
    same(len(seed), 32)
    if "card" in f:
        return check_room_card(f, seed, room + number)
    post = f["post"]
    c = Cursor(post)
    under = c.take(4)
    if under != number:
        raise Refused("old_key" if under < number else "not_for_us")
    nonce = c.take(24)
    place = room + f["envelope"] + number
    key = hkdf(seed, b"restante room key v1", room + number)
    sealed = open_sealed(key, nonce, b"restante room post v1\0" + place, c.rest())
    c = Cursor(unpad(sealed, len(post)))
    author = c.take(c.number(2))
    _, device, _ = certificate(author)
    signature, said = c.take(64), c.rest()
    verify(device, b"restante room sender v1", place + sha256(said), signature)
    same((author, said), (f["author"], f["said"]))


def check_safety(f):
    """SAF-1, SAF-2."""
    digits, qr = "", b"\1"
    for account in sorted((f["ours"], f["theirs"])):
        h = hashlib.sha512(b"restante safety number v1\0" + account).digest()
        for _ in range(5200):
            h = hashlib.sha512(h + account).digest()
        for at in range(0, 30, 5):
            digits += f"{int.from_bytes(h[at:at + 5], 'big') % 100000:05}"
        qr += h[:32]
    same((digits.encode(), qr), (f["digits"], f["qr"]))


def padme(length):
    """FIL-2."""
    length = max(1024, length)
    exponent = length.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return -(-length // step) * step


def open_chunk(key, stream, number, chunk):
    """FIL-3."""
    count = -(-stream // 64784)
    if number >= count:
        raise Refused("malformed")
    nonce = bytes(19) + struct.pack(">I?", number, number == count - 1)
    size = struct.pack(">Q", stream + 16 * count)
    plain = open_sealed(key, nonce, b"restante file v1\0" + size, chunk)
    if len(plain) != min(64784, stream - number * 64784):
        raise Refused("malformed")
    return plain


def open_file(key, sealed):
    """FIL-2 to FIL-4."""
    stream = len(sealed) - 16 * -(-len(sealed) // 64800)
    if stream < 1024 or stream > 63 << 20 or padme(stream) != stream:
        raise Refused("malformed")
    pieces = (sealed[at : at + 64800] for at in range(0, len(sealed), 64800))
    plain = b"".join(open_chunk(key, stream, n, piece) for n, piece in enumerate(pieces))
    size = int.from_bytes(plain[:8], "big")
    if padme(8 + size) != stream or any(plain[8 + size :]):
        raise Refused("bad_padding")
    return plain[8 : 8 + size]


def check_file(f):
    """FIL-1 to FIL-4, whole files and single chunks."""
    if "sealed" in f:
        return same(open_file(f["key"], f["sealed"]), f["content"])
    size, number = (int.from_bytes(f[name], "big") for name in ("size", "number"))
    start = number * 64784
    plain = open_chunk(f["key"], padme(8 + size), number, f["chunk"])
    stream = max(0, min(start + len(plain), 8 + size) - max(start, 8))
    skip = max(0, 8 - start)
    if any(plain[skip + stream :]):
        raise Refused("bad_padding")
    same(plain[skip : skip + stream], f["content"])


def entropy(phrase):
    """REV-2: the bits of 24 words; the checksum reckoned here, only the list is another's."""
    words, known = phrase.lower().split(), Mnemonic("english").wordlist
    if len(words) != 24:
        raise Refused("word_count")
    if not set(words) <= set(known):
        raise Refused("unknown_word")
    bits = 0
    for word in words:
        bits = bits << 11 | known.index(word)
    secret = (bits >> 8).to_bytes(32, "big")
    if sha256(secret)[0] != bits & 0xFF:
        raise Refused("words_differ")
    return secret


def recovery_secret(f, kind, cost, salt):
    """REV-2, REV-3."""
    if (kind == 1) != ("words" in f):
        raise Refused("wrong_secret")
    if kind == 1:
        return entropy(f["words"].decode())
    passphrase = unicodedata.normalize("NFKC", f["passphrase"].decode()).encode()
    memory, passes, lanes = cost
    return hash_secret_raw(passphrase, salt, passes, memory, lanes, 32, Type.ID, 0x13)


def fields_of(message):
    """The fields of a protobuf message: numbers and bytes."""
    c, found = Cursor(message), []

    def varint():
        value = shift = 0
        while True:
            byte = c.number(1)
            value, shift = value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while c.rest():
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            value = c.take(value)
        elif tag & 7:
            raise Refused("malformed")
        found.append((tag >> 3, value))
    return found


def check_records(segments):
    """ARC-1, ARC-3: framing, kinds, and the head's version and purpose."""
    c, kinds = Cursor(segments), []
    while c.rest():
        record = dict(fields_of(c.take(c.number(4))))
        kinds.append(record[1])
        if record[1] == 1:
            head = dict(fields_of(record[2]))
            same((head[1], len(head[2]), head[4]), (1, 32, 2))
    same((kinds[0], 1 in kinds[1:], max(kinds) <= 8), (1, False, True))


def check_recovery(f):
    """REV-1 to REV-4."""
    if "words" in f:
        entropy(f["words"].decode())
    c = Cursor(f["file"])
    if c.take(8) != b"restante":
        raise Refused("malformed")
    if c.number(1) != 1:
        raise Refused("unsupported")
    kind, cost, salt = c.number(1), [c.number(4) for _ in range(3)], c.take(32)
    bound, check = f["file"][: c.at], c.take(16)
    if sha256(f["file"][: c.at])[:8] != c.take(8):
        raise Refused("malformed")
    if any(asked > most for asked, most in zip(cost, (262144, 16, 16))):
        raise Refused("too_large")
    secret = recovery_secret(f, kind, cost, salt)
    if hkdf(secret, b"restante recovery check v1", bound)[:16] != check:
        raise Refused("wrong_secret")
    if not c.rest():
        raise Refused("malformed")
    segments, number = b"", 0
    while c.rest():
        sealed = c.take(c.number(4))
        place = struct.pack(">I?", number, not c.rest())
        key = hkdf(secret, b"restante recovery segment v1", bound + place)
        segments += open_file(key, sealed)
        number += 1
    check_records(segments)
    same(segments, f["segments"])


# Files --------------------------------------------------------------------------------------------

GROUPS = {
    "endorsement": check_endorsement,
    "open": check_open,
    "letter": check_letter,
    "record": check_record,
    "live": check_live,
    "padding": check_padding,
    "room": check_room,
    "safety": check_safety,
    "file": check_file,
    "recovery": check_recovery,
}


def parse(text):
    head, _, body = text.partition("\n\n")
    expect = next(line[8:] for line in head.splitlines() if line.startswith("expect: "))
    lines = (line.partition(":") for line in body.splitlines() if line)
    return expect, {name: bytes.fromhex(value.strip()) for name, _, value in lines}


def main():
    passed, failed = 0, 0
    for group, check in GROUPS.items():
        files = sorted((Path(__file__).parent / group).glob("*.txt"))
        if not files:
            print(f"FAILED {group}: no files")
            failed += 1
        for file in files:
            expect, fields = parse(file.read_text())
            try:
                check(fields)
                outcome = "ok"
            except Refused as refused:
                outcome = str(refused)
            if outcome == expect:
                passed += 1
            else:
                failed += 1
                print(f"FAILED {group}/{file.name}: {outcome}, expected {expect}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
