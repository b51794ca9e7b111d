//! The two things HTTP is good for here: the public page, and becoming a WebSocket (TRN-11).
//!
//! Sans-IO: bytes of one request in (RFC 9112), bytes of its answer out; must not know sockets,
//! TLS or what is on the page.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use bytes::{Buf, BytesMut};
use data_encoding::BASE64;
use httparse::{EMPTY_HEADER, Header};
use restante_spec::WEBSOCKET_PATH;
use restante_spec::limits::{HTTP_HEADERS, HTTP_REQUEST_BYTES};

use super::page::Page;

/// What a request comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The public page, or only its head.
    Page {
        /// Without the page itself.
        is_head: bool,
    },
    /// A WebSocket, and what shows that it was understood.
    WebSocket {
        /// `Sec-WebSocket-Accept`.
        accept: String,
    },
    /// Nothing there is.
    Refused(Status),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It is no HTTP/1.1, or has a body.
    BadRequest,
    /// There is nothing else.
    NotFound,
    /// What is there is a WebSocket (version 13).
    UpgradeRequired,
    /// Above a limit (LIM-18).
    TooLarge,
}

impl Request {
    /// Takes a whole request off the front of `input`; `None`: more must arrive first.
    pub(super) fn read(input: &mut BytesMut) -> Option<Self> {
        let mut headers = [EMPTY_HEADER; HTTP_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        // LIM-18
        let seen = input.get(..HTTP_REQUEST_BYTES).unwrap_or(input);
        let (read, size) = match request.parse(seen) {
            Ok(httparse::Status::Complete(size)) => (Self::route(&request), size),
            Ok(httparse::Status::Partial) if input.len() < HTTP_REQUEST_BYTES => return None,
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                (Self::Refused(Status::TooLarge), input.len())
            }
            Err(_) => (Self::Refused(Status::BadRequest), input.len()),
        };
        input.advance(size);
        Some(read)
    }

    /// The answer, after which a connection is closed or a WebSocket.
    pub(super) fn answer(&self, page: &Page) -> BytesMut {
        let mut body = "";
        let mut lines = String::from(SECURITY);
        let mut line = |name: &str, value: &str| lines.extend([name, ": ", value, "\r\n"]);
        let status = match self {
            Self::Page { is_head } => {
                line("content-type", "text/html; charset=utf-8");
                line("content-security-policy", page.policy());
                line("content-length", &page.html().len().to_string());
                body = if *is_head { "" } else { page.html() };
                "200 OK"
            }
            Self::WebSocket { accept } => {
                line("upgrade", "websocket");
                line("sec-websocket-accept", accept);
                "101 Switching Protocols"
            }
            Self::Refused(refused) => {
                line("content-length", "0");
                if *refused == Status::UpgradeRequired {
                    line("upgrade", "websocket");
                    line("sec-websocket-version", VERSION);
                }
                refused.text()
            }
        };
        let upgrades =
            matches!(self, Self::WebSocket { .. } | Self::Refused(Status::UpgradeRequired));
        line("connection", if upgrades { "upgrade" } else { "close" });
        BytesMut::from(format!("HTTP/1.1 {status}\r\n{lines}\r\n{body}").as_str())
    }

    /// What is asked for. Nobody's origin is looked at: no right here comes from where one is.
    fn route(request: &httparse::Request<'_, '_>) -> Self {
        let headers = &*request.headers;
        let has_body = headers.iter().any(|header| {
            is(header, "transfer-encoding")
                || (is(header, "content-length") && header.value.trim_ascii() != b"0")
        });
        let is_sound = request.version == Some(1) && only(headers, "host").is_some();
        if !is_sound || has_body {
            return Self::Refused(Status::BadRequest);
        }
        let path = request.path.unwrap_or_default();
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        match (request.method, path) {
            (Some("GET"), "/") => Self::Page { is_head: false },
            (Some("HEAD"), "/") => Self::Page { is_head: true },
            (Some("GET"), WEBSOCKET_PATH) => Self::upgrade(headers),
            _ => Self::Refused(Status::NotFound),
        }
    }

    /// The handshake of a WebSocket (RFC 6455, section 4.2). Subprotocols and extensions that are
    /// offered are not taken.
    fn upgrade(headers: &[Header<'_>]) -> Self {
        let is_asked = names(headers, "upgrade", "websocket")
            && names(headers, "connection", "upgrade")
            && only(headers, "sec-websocket-version") == Some(VERSION.as_bytes());
        if !is_asked {
            return Self::Refused(Status::UpgradeRequired);
        }
        let key = only(headers, "sec-websocket-key").unwrap_or_default();
        if !BASE64.decode(key).is_ok_and(|key| key.len() == KEY_BYTES) {
            return Self::Refused(Status::BadRequest);
        }
        let shown = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
        Self::WebSocket { accept: BASE64.encode(shown.as_ref()) }
    }
}

impl Status {
    const fn text(self) -> &'static str {
        match self {
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::UpgradeRequired => "426 Upgrade Required",
            Self::TooLarge => "431 Request Header Fields Too Large",
        }
    }
}

/// What every answer says to browsers: take it for what it is, show it nowhere else, tell nobody,
/// and ask again next time.
const SECURITY: &str = "x-content-type-options: nosniff\r\n\
    x-frame-options: DENY\r\n\
    referrer-policy: no-referrer\r\n\
    cross-origin-opener-policy: same-origin\r\n\
    cross-origin-resource-policy: same-origin\r\n\
    cache-control: no-cache\r\n";

/// RFC 6455, section 4.1: the one version, and the size of a key.
const VERSION: &str = "13";
/// RFC 6455, section 4.1.
const KEY_BYTES: usize = 16;
/// RFC 6455, section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

fn is(header: &Header<'_>, name: &str) -> bool {
    header.name.eq_ignore_ascii_case(name)
}

/// The value of a header that is there once.
fn only<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    let mut values = headers.iter().filter(|header| is(header, name));
    let value = values.next()?.value.trim_ascii();
    values.next().is_none().then_some(value)
}

/// Whether a header's list has this word.
fn names(headers: &[Header<'_>], name: &str, word: &str) -> bool {
    let lists = headers.iter().filter(|header| is(header, name));
    lists
        .flat_map(|header| header.value.split(|byte| *byte == b','))
        .any(|named| named.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "host: relay.example.org\r\n";
    /// The example of RFC 6455, section 1.3.
    const UPGRADE: &str = "host: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

    fn read(text: &str) -> Option<Request> {
        Request::read(&mut BytesMut::from(text))
    }

    fn asked(line: &str, headers: &str) -> Request {
        read(&format!("{line} HTTP/1.1\r\n{headers}\r\n")).unwrap()
    }

    /// TRN-11: the page, its head, and nothing else.
    #[test]
    fn there_is_a_page_and_nothing_else() {
        assert_eq!(asked("GET /", HOST), Request::Page { is_head: false });
        assert_eq!(asked("GET /?from=elsewhere", HOST), Request::Page { is_head: false });
        assert_eq!(asked("HEAD /", HOST), Request::Page { is_head: true });
        for line in ["GET /v2", "GET /index.html", "POST /", "POST /v1", "HEAD /v1", "OPTIONS *"] {
            assert_eq!(asked(line, HOST), Request::Refused(Status::NotFound), "{line}");
        }
    }

    /// TRN-11: what is no HTTP/1.1 with one host and without a body is refused.
    #[test]
    fn unsound_requests_are_refused() {
        let bad = Some(Request::Refused(Status::BadRequest));
        for text in [
            "GET / HTTP/1.0\r\nhost: x\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\0\0\0\x06\0\x04\x08\x05\x1a\0",
        ] {
            assert_eq!(read(text), bad, "{text:?}");
        }
        let empty = "host: x\r\ncontent-length: 0\r\n";
        assert_eq!(asked("GET /", empty), Request::Page { is_head: false });
    }

    /// TRN-11: a WebSocket is what RFC 6455 says; behind the request its first bytes may stand.
    #[test]
    fn a_websocket_is_asked_for_by_the_letter() {
        let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned();
        let mut input = BytesMut::from(format!("GET /v1 HTTP/1.1\r\n{UPGRADE}\r\nrest").as_str());
        assert_eq!(Request::read(&mut input), Some(Request::WebSocket { accept }));
        assert_eq!(input, &b"rest"[..]);
        for (from, to, status) in [
            ("Upgrade: WebSocket\r\n", "", Status::UpgradeRequired),
            ("Upgrade: WebSocket", "Upgrade: h2c", Status::UpgradeRequired),
            ("keep-alive, Upgrade", "keep-alive", Status::UpgradeRequired),
            ("Version: 13", "Version: 8", Status::UpgradeRequired),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", Status::BadRequest),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", Status::BadRequest),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", Status::BadRequest),
        ] {
            assert!(UPGRADE.contains(from));
            let changed = asked("GET /v1", &UPGRADE.replace(from, to));
            assert_eq!(changed, Request::Refused(status), "{to}");
        }
    }

    /// LIM-18: bytes of a request, whole or not, and header lines.
    #[test]
    fn requests_are_bounded() {
        let line = "GET / HTTP/1.1\r\nhost: x\r\nx: ";
        let fill = |size: usize| format!("{line}{}", "x".repeat(size - line.len()));
        let whole = |size: usize| format!("{}\r\n\r\n", fill(size - 4));
        assert_eq!(read(&whole(HTTP_REQUEST_BYTES)), Some(Request::Page { is_head: false }));
        let too_large = Some(Request::Refused(Status::TooLarge));
        assert_eq!(read(&whole(HTTP_REQUEST_BYTES + 1)), too_large);
        assert_eq!(read(&fill(HTTP_REQUEST_BYTES - 1)), None);
        assert_eq!(read(&fill(HTTP_REQUEST_BYTES)), too_large);
        let lines = |count: usize| format!("{HOST}{}", "x: y\r\n".repeat(count - 1));
        assert_eq!(asked("GET /", &lines(HTTP_HEADERS)), Request::Page { is_head: false });
        let one_more = asked("GET /", &lines(HTTP_HEADERS + 1));
        assert_eq!(one_more, Request::Refused(Status::TooLarge));
    }

    #[test]
    fn a_request_waits_until_it_is_whole() {
        let text = format!("GET /v1 HTTP/1.1\r\n{UPGRADE}\r\n");
        for size in 0..text.len() {
            assert_eq!(read(&text[..size]), None, "{size}");
        }
    }
}
