"""Checks the frame vectors without our codec: lengths, protobuf wire form, field sizes.

Needs Python only. Prints a line for each case that fails, then `N passed, N failed`.
"""

import pathlib
import struct
import sys

HEADER_BYTES = 1024
BODY_BYTES = 64800
COMMIT_READERS = 16
COMMIT_BLOBS = 4

# Field number of the command -> {field: exact size of its bytes}; from proto/wire.proto.
CLIENT = {
    2: {}, 3: {}, 4: {1: 16, 3: 32, 4: 64, 5: 32, 7: 16}, 5: {2: 16, 3: 32, 4: 64}, 6: {},
    7: {2: 32, 3: 64}, 8: {2: 32}, 9: {2: 32}, 10: {3: 16}, 11: {2: 16}, 12: {}, 13: {},
    14: {}, 15: {3: 16}, 16: {}, 17: {}, 18: {2: 16, 3: 32, 4: 64}, 19: {2: 16},
    20: {1: 16, 2: 32, 3: 64}, 21: {2: 16},
}
RELAY = {
    2: {2: 32, 3: 32, 4: 16}, 3: {}, 4: {5: 32}, 5: {1: 8}, 6: {4: 8, 8: 32}, 7: {4: 8},
    8: {}, 9: {}, 10: {4: 8, 5: 16}, 11: {}, 12: {}, 13: {},
    14: {}, 15: {},
}


class Refused(Exception):
    """The class of failure."""


def varint(data, at):
    value, shift = 0, 0
    while True:
        if at >= len(data) or shift > 63:
            raise Refused("malformed")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """All (number, value) of a message; bytes for length-delimited, int for varint."""
    at, found = 0, []
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise Refused("malformed")
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            if at > len(data):
                raise Refused("malformed")
        else:
            raise Refused("malformed")
        found.append((number, value))
    return found


def check(frame, table, client):
    if len(frame) < 4:
        raise Refused("short")
    length = struct.unpack(">I", frame[:4])[0]
    if length > 2 + HEADER_BYTES + BODY_BYTES:
        raise Refused("too_large")
    if length < 2:
        raise Refused("malformed")
    header = struct.unpack(">H", frame[4:6])[0]
    if header > length - 2:
        raise Refused("malformed")
    if header > HEADER_BYTES or length - 2 - header > BODY_BYTES:
        raise Refused("too_large")
    if len(frame) != 4 + length:
        raise Refused("short")
    message = fields(frame[6:6 + header])
    number = [value for field, value in message if field == 1]
    if client and (not number or number[0] == 0):
        raise Refused("malformed")
    bodies = [(field, value) for field, value in message if field in table]
    if not bodies:
        raise Refused("unsupported")
    field, value = bodies[-1]
    inner = fields(value)
    for inner_field, inner_value in inner:
        size = table[field].get(inner_field)
        if size is not None and inner_value and len(inner_value) != size:
            raise Refused("malformed")
    if client:
        check_values(field, inner)
    missing = {f for f in table[field]} - {f for f, _ in inner}
    optional = {(10, 6), (5, 1), (4, 7)}
    if client and any((field, f) not in optional for f in missing):
        raise Refused("malformed")


def number_of(frame):
    """The request's number as far as it can be read, else 0."""
    try:
        size = int.from_bytes(frame[4:6], "big")
        header = frame[6:6 + size]
        if len(header) < max(size, 1):
            return 0
        return dict(fields(header)).get(1, 0)
    except Refused:
        return 0


def check_values(field, inner):
    """What a command may say, beyond the sizes: classes, a commit's lists, a rate."""
    values = dict(inner)
    if field == 4 and values.get(2) not in (1, 2, 3):
        raise Refused("unsupported")
    if field == 7 and 7 in values:
        rate = dict(fields(values[7]))
        if not rate.get(1) or not rate.get(2):
            raise Refused("malformed")
    if field == 10:
        if values.get(4) not in (1, 2, 3):
            raise Refused("unsupported")
        commit = fields(values.get(7, b""))
        if sum(f in (3, 4) for f, _ in commit) > COMMIT_READERS:
            raise Refused("too_large")
        if sum(f == 5 for f, _ in commit) > COMMIT_BLOBS:
            raise Refused("too_large")
        if any(f == 5 and len(value) != 16 for f, value in commit):
            raise Refused("malformed")


def main():
    folder = pathlib.Path(__file__).parent / "frame"
    passed, failed = 0, 0
    for path in sorted(folder.glob("*.txt")):
        head, _, body = path.read_text().partition("\n\n")
        expect = dict(line.split(": ", 1) for line in head.splitlines())["expect"]
        said = {name: bytes.fromhex(hex) for name, hex in
                (line.split(": ", 1) for line in body.splitlines())}
        client = not path.name.startswith("relay")
        number = 0
        try:
            number = number_of(said["frame"])
            check(said["frame"], CLIENT if client else RELAY, client)
            got = "ok"
        except Refused as refused:
            got = str(refused)
        if "number" in said and number != int.from_bytes(said["number"], "big"):
            got += f" with number {number}"
        if got == expect:
            passed += 1
        else:
            failed += 1
            print(f"{path.name}: expected {expect}, got {got}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
