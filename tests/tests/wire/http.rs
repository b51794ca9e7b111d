//! The public page, and what HTTP does not do here (TRN-11).

use restante_spec::limits;
use restante_spec::{ALPN_HTTP, WEBSOCKET_PATH};
use restante_tests::relay::InProcess;
use restante_tests::wire::{PATIENCE, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends a request as it is; head and body of the answer, after which the connection ends.
async fn ask(relay: &InProcess, request: &str) -> (String, String) {
    let mut stream = tls(relay.address(), &[ALPN_HTTP]).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.expect("an answer in time").expect("an answer and its end");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

fn request(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: relay.example.org\r\n\r\n")
}

/// TRN-11: words, contact, source, address and its picture, nothing active, nothing from elsewhere.
#[tokio::test]
async fn the_page_says_whose_relay_this_is() {
    let relay = InProcess::start(&[
        "--operator-text",
        "Run by the <reading circle>",
        "--contact",
        "mailto:post@example.org",
        "--source",
        "https://example.org/source",
    ])
    .await;
    let (head, body) = ask(&relay, &request("GET /")).await;
    for line in [
        "HTTP/1.1 200 OK",
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "referrer-policy: no-referrer",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        "connection: close",
        &format!("content-length: {}", body.len()),
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    for part in [
        "Run by the &lt;reading circle&gt;",
        "mailto:post@example.org",
        "https://example.org/source",
        &format!("<code>{}</code>", relay.address()),
        "<svg ",
        "64800 bytes",
    ] {
        assert!(body.contains(part), "{part} is not in {body}");
    }
    for active in ["<script", "onload", "style=\"", "src=", "<form", "<iframe", "<link"] {
        assert!(!body.contains(active), "{active} is in {body}");
    }
    let (only_head, nothing) = ask(&relay, &request("HEAD /")).await;
    assert_eq!((only_head, nothing.as_str()), (head, ""));
    relay.stop().await;
}

/// TRN-11: everything else is not there, and what is no WebSocket handshake is told so.
#[tokio::test]
async fn everything_else_is_refused() {
    let relay = InProcess::start(&[]).await;
    for line in ["GET /favicon.ico", "GET /robots.txt", "POST /", "GET /v2", "DELETE /v1"] {
        let (head, body) = ask(&relay, &request(line)).await;
        assert!(head.starts_with("HTTP/1.1 404 ") && body.is_empty(), "{line}: {head}");
    }
    let (head, _) = ask(&relay, &request(&format!("GET {WEBSOCKET_PATH}"))).await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
    assert!(head.contains("sec-websocket-version: 13"), "{head}");
    let (head, _) = ask(&relay, "GET / HTTP/1.1\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    relay.stop().await;
}

/// LIM-18: a request at the bound is answered, one more byte or line is not.
#[tokio::test]
async fn requests_are_bounded() {
    let relay = InProcess::start(&[]).await;
    let start = "GET / HTTP/1.1\r\nhost: x\r\nx: ";
    let sized = |size: usize| format!("{start}{}\r\n\r\n", "x".repeat(size - start.len() - 4));
    let lines =
        |count: usize| format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(count - 1));
    for (fits, one_more) in [
        (sized(limits::HTTP_REQUEST_BYTES), sized(limits::HTTP_REQUEST_BYTES + 1)),
        (lines(limits::HTTP_HEADERS), lines(limits::HTTP_HEADERS + 1)),
    ] {
        assert!(ask(&relay, &fits).await.0.starts_with("HTTP/1.1 200 "));
        assert!(ask(&relay, &one_more).await.0.starts_with("HTTP/1.1 431 "));
    }
    relay.stop().await;
}

/// LIM-11: who asks nothing, or not to the end, is closed in time.
#[tokio::test]
async fn requests_have_their_time() {
    let relay = InProcess::start(&[]).await;
    let mut mute = tls(relay.address(), &[ALPN_HTTP]).await.unwrap();
    let mut slow = tls(relay.address(), &[ALPN_HTTP]).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    let before = std::time::Instant::now();
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let both = async { tokio::join!(mute.read_to_end(&mut one), slow.read_to_end(&mut two)) };
    let _ = tokio::time::timeout(PATIENCE, both).await.expect("both are closed");
    let bound = u64::from(limits::HELLO_TIMEOUT.get());
    assert!(before.elapsed().as_secs() >= bound - 1, "not before the time is over");
    assert!(one.is_empty() && two.is_empty());
    relay.stop().await;
}

/// A relay that stops does not wait for who asks nothing.
#[tokio::test]
async fn a_relay_that_stops_does_not_wait_for_a_request() {
    let relay = InProcess::start(&[]).await;
    let mut mute = tls(relay.address(), &[ALPN_HTTP]).await.unwrap();
    let before = std::time::Instant::now();
    let mut rest = Vec::new();
    let (_, read) = tokio::join!(relay.stop(), mute.read_to_end(&mut rest));
    assert!(before.elapsed().as_secs() < u64::from(limits::HELLO_TIMEOUT.get()) - 1);
    assert!(read.is_err() && rest.is_empty(), "closed without a word");
}
