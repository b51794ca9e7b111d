"""Lets Autobahn's fuzzing client, a test suite for WebSocket, loose on a relay (TRN-12, TRN-13).

Arguments: the relay's program, and a Python 2.7 with pip: the suite was never brought to Python 3,
so this is no part of `tests/run`, where tests/tests/wire/conformance.rs breaks the same rules.
Ends with 0 if every case that applies passes.
"""

import asyncio
import json
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import urllib.parse

SUITE = "autobahntestsuite==0.8.2"
# Seconds after which the whole is given up.
PATIENCE = 300

# What a relay cannot pass, since it takes no texts (1003) and does not send back what it gets, and
# offers no compression.
WITHOUT_ECHO = ["1.*", "7.1.1", "7.1.5", "9.*", "10.*", "12.*", "13.*"]
OF_TEXTS = [
    "3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5",
    "5.3", "5.4", "5.5", "5.6", "5.7", "5.8", "5.15", "5.18", "5.19", "5.20", "6.*",
]
# All the others: pings, reserved bits and opcodes, wrong parts, closes.
CASES = 64
PASSED = {"OK", "INFORMATIONAL"}


def prepared(python):
    """A folder with the suite in it, installed once."""
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    place = pathlib.Path(cache) / "restante" / SUITE
    if not (place / "autobahntestsuite").is_dir():
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", str(place), SUITE], check=True)
    return place


async def carry(reader, writer):
    """Copies until one side ends."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def run(host, port, python, place):
    """Puts TLS and the protocol's name between the suite and the relay; what the suite found."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])

    async def pass_on(reader, writer):
        from_relay, to_relay = await asyncio.open_connection(host, port, ssl=context)
        await asyncio.gather(carry(reader, to_relay), carry(from_relay, writer))

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    plain = server.sockets[0].getsockname()[1]
    spec = {
        "outdir": "reports",
        "servers": [{"agent": "relay", "url": f"ws://127.0.0.1:{plain}/v1"}],
        "cases": ["*"],
        "exclude-cases": WITHOUT_ECHO + OF_TEXTS,
        "exclude-agent-cases": {},
    }
    (place / "spec.json").write_text(json.dumps(spec))
    # Not in PYTHONPATH: some of its packages are found through .pth files only.
    suite = f"import site; site.addsitedir({str(prepared(python))!r})\n"
    suite += "from autobahntestsuite import wstest; wstest.run()"
    process = await asyncio.create_subprocess_exec(
        python, "-W", "ignore", "-c", suite, "-m", "fuzzingclient", "-s", "spec.json",
        cwd=place, stdout=subprocess.DEVNULL,
    )
    status = await asyncio.wait_for(process.wait(), PATIENCE)
    assert status == 0, f"the suite has ended with {status}"
    return json.loads((place / "reports/index.json").read_text())["relay"]


def main():
    program, python = sys.argv[1:]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        place = pathlib.Path(folder)
        command = [program, "serve", "--data", f"{place}/data", "--listen", "127.0.0.1:0"]
        relay = subprocess.Popen([*command, "--log", "warn"], stdout=subprocess.PIPE, text=True)
        try:
            parts = urllib.parse.urlsplit(relay.stdout.readline().strip())
            found = asyncio.run(run(parts.hostname, parts.port, python, place))
        finally:
            relay.terminate()
            relay.wait()
    failed = {
        name: one for name, one in found.items()
        if not {one["behavior"], one["behaviorClose"]} <= PASSED
    }
    assert not failed, json.dumps(failed, indent=2)
    assert len(found) == CASES, f"{len(found)} cases"
    print(f"{len(found)} cases of Autobahn's fuzzing client passed")


main()
