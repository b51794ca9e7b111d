"""Opens the relay's page in a real browser, and speaks the protocol from a program in it.

Needs Chromium and Python with `cryptography`; the relay's program is the first argument. A second
one is a file for a picture of the page. Speaks to the browser through a pipe (the DevTools
protocol), so it waits for what happens and for nothing else. Ends with 0 if all is well.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

VECTORS = pathlib.Path(__file__).parents[2] / "spec/vectors/frame"
WORDS = "Run by the <reading circle>"
# Seconds after which the whole is given up.
PATIENCE = 120

# Says hello and ping, each once the answer to the one before is there, and then closes.
SPEAK = """
new Promise((resolve) => {
    const socket = new WebSocket(%(url)s);
    socket.binaryType = "arraybuffer";
    const say = (hex) => socket.send(Uint8Array.from(hex.match(/../g), (two) => parseInt(two, 16)));
    const words = %(words)s, answers = [];
    socket.onopen = () => say(words.shift());
    socket.onmessage = ({data}) => {
        const bytes = Array.from(new Uint8Array(data));
        answers.push(bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(""));
        words.length ? say(words.shift()) : socket.close(1000, "bye");
    };
    socket.onclose = ({code, wasClean}) => resolve({answers, code, wasClean});
})
"""

# Sends a text, which the relay does not take.
SHOUT = """
new Promise((resolve) => {
    const socket = new WebSocket(%(url)s);
    socket.onopen = () => socket.send("hello");
    socket.onclose = ({code, wasClean}) => resolve({code, wasClean});
})
"""


class Browser:
    """A headless Chromium with one page."""

    def __init__(self, program, profile, key_hash):
        to_read, to_browser = os.pipe()
        from_browser, to_write = os.pipe()
        # The browser reads commands from its file 3 and writes answers to its file 4.
        command = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
            f"--user-data-dir={profile}", f"--ignore-certificate-errors-spki-list={key_hash}",
        ]
        self.process = subprocess.Popen(
            ["bash", "-c", command, "browser", program, *flags],
            pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL, start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        self.commands, self.answers = os.fdopen(to_browser, "wb"), os.fdopen(from_browser, "rb")
        self.number, self.session, self.events = 0, None, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **params):
        """One command; its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, event):
        """Waits until something has happened."""
        while not any(known.get("method") == event for known in self.events):
            self.events.append(self.read())

    def read(self):
        text = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has ended")
            text += byte
        return json.loads(text)

    def open(self, url):
        """Opens a page; its head as the network saw it, and what the browser complained of."""
        self.events.clear()
        failed = self.ask("Page.navigate", url=url).get("errorText")
        if failed:
            raise RuntimeError(f"{url}: {failed}")
        self.wait("Page.loadEventFired")
        seen = [event["params"] for event in self.events if "params" in event]
        responses = [one["response"] for one in seen if "response" in one]
        return responses, [one["entry"]["text"] for one in seen if "entry" in one]

    def run(self, program):
        """The value of a program, in the page that is open."""
        result = self.ask(
            "Runtime.evaluate", expression=program, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["text"])
        return result["result"].get("value")

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def key_hash(host, port):
    """The hash of the relay's TLS key, as the browser's flag takes it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    with socket.create_connection((host, port)) as tcp, context.wrap_socket(tcp) as tls:
        certificate = x509.load_der_x509_certificate(tls.getpeercert(True))
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def vector(name):
    """The bytes of a golden frame, in hex."""
    lines = (VECTORS / f"{name}.txt").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("frame:"))


def look_at_the_page(browser, url, address, picture):
    # The page needs no script to be whole.
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    responses, complaints = browser.open(url)
    assert [one["status"] for one in responses if one["url"] == url] == [200], responses
    assert complaints == [], complaints
    text = browser.run("document.body.innerText")
    for part in (WORDS, address, "64800 bytes", "post@example.org"):
        assert part in text, (part, text)
    # The style is the one its policy allows, and the picture has a size.
    look = "(({width}) => [width, getComputedStyle(document.querySelector('main')).maxWidth])"
    look += "(document.querySelector('svg').getBoundingClientRect())"
    width, column = browser.run(look)
    assert width > 200 and column != "none", (width, column)
    if picture:
        shot = browser.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        pathlib.Path(picture).write_bytes(base64.b64decode(shot))
    # What gets into the page all the same may neither run nor talk to anybody.
    browser.ask("Emulation.setScriptExecutionDisabled", value=False)
    added = "document.body.append(Object.assign(document.createElement('script'),"
    added += "{textContent: 'window.ran = true'})); window.ran === undefined"
    assert browser.run(added), "a script ran"
    talked = f"fetch({json.dumps(url)}).then(() => 'reached', () => 'refused')"
    assert browser.run(talked) == "refused", "the page reached somebody"


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A page of somebody else's on this machine: browsers let it reach what is on the machine."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A program</title>")

    def log_message(self, *_):
        pass


def speak(browser, url, identity):
    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.open(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    words = [vector("client_hello"), vector("client_ping")]
    said = browser.run(SPEAK % {"url": json.dumps(url), "words": json.dumps(words)})
    assert said["code"] == 1000 and said["wasClean"], said
    welcome, done = said["answers"]
    assert identity.hex() in welcome, welcome
    # The golden answer is to number 2, the golden ping has number 5.
    assert done == vector("relay_done").replace("0802", "0805", 1), done
    refused = browser.run(SHOUT % {"url": json.dumps(url)})
    assert refused == {"code": 1003, "wasClean": True}, refused


def main():
    program, *rest = sys.argv[1:]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("no chromium in the PATH: please install it")
    signal.alarm(PATIENCE)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        command = [program, "serve", "--data", f"{place}/data", "--listen", "127.0.0.1:0"]
        command += ["--operator-text", WORDS, "--contact", "mailto:post@example.org"]
        command += ["--source", "https://example.org/source", "--log", "warn"]
        relay = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        browser = None
        try:
            address = relay.stdout.readline().strip()
            parts = urllib.parse.urlsplit(address)
            host, port = parts.hostname, parts.port
            key = address.split("//")[1].split("@")[0]
            browser = Browser(chromium, f"{place}/profile", key_hash(host, port))
            picture = rest[0] if rest else None
            look_at_the_page(browser, f"https://{host}:{port}/", address, picture)
            speak(browser, f"wss://{host}:{port}/v1", base64.urlsafe_b64decode(key + "="))
        finally:
            if browser:
                browser.close()
            relay.terminate()
            relay.wait()
    print("the page is whole and inert, and a program in a browser was welcomed")


main()
