//! The public page: what a person sees who opens the relay's address in a browser (TRN-11).
//!
//! Made once, at start; no script, nothing loaded from anywhere.
//! Sans-IO: knows texts; must not know how they are asked for.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;
use qrcode::QrCode;
use qrcode::render::svg;
use restante_spec::WEBSOCKET_PATH;
use restante_spec::address::RelayAddress;
use restante_spec::message::Limits;

use super::Settings;

/// The page as it is sent; by default an empty one.
#[derive(Debug, Default)]
pub(crate) struct Page {
    html: String,
    policy: String,
}

impl Page {
    /// The page of a relay at `address` with these settings and limits.
    pub(crate) fn new(address: &RelayAddress, settings: &Settings, limits: &Limits) -> Self {
        let words = paragraph(&escaped(&settings.operator_text));
        let (host, port) = (address.host(), address.port());
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let address = address.to_string();
        let picture = QrCode::new(&address).map_or_else(|_| String::new(), |code| picture(&code));
        let websocket = escaped(&format!("wss://{host}:{port}{WEBSOCKET_PATH}"));
        let address = escaped(&address);
        let limits = table(limits);
        let contact = about("Contact", &settings.contact);
        let source = about("Source code", &settings.source);
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>Restante relay</title>\n<style>{STYLE}</style>\n<main>\n\
             <h1>Restante relay</h1>\n{words}\
             <p>This relay keeps sealed letters for a while, until they are called for. It cannot \
             open them.</p>\n\
             <h2>Address</h2>\n<p>Give it to your app, as text or as a picture:</p>\n\
             <p><code>{address}</code></p>\n{picture}\
             <p>Programs in browsers connect to <code>{websocket}</code>.</p>\n\
             <h2>Limits</h2>\n{limits}{contact}{source}</main>\n</html>\n"
        );
        Self { html, policy: policy() }
    }

    /// The page.
    pub(super) fn html(&self) -> &str {
        &self.html
    }

    /// Its `Content-Security-Policy`.
    pub(super) fn policy(&self) -> &str {
        &self.policy
    }
}

const STYLE: &str = "
:root{color-scheme:light dark}
body{font:1.05rem/1.5 system-ui,sans-serif;margin:0}
main{max-width:40rem;margin:0 auto;padding:1rem}
h1{font-size:1.6rem}
h2{font-size:1.15rem;margin-top:2rem}
code{overflow-wrap:anywhere}
svg{display:block;width:15rem;height:15rem}
table{border-collapse:collapse}
th,td{padding:.2rem 1.5rem .2rem 0;text-align:left;font-weight:normal}
td{text-align:right}
";

/// Nothing but the page's own style; it is framed by nobody and sends nothing.
fn policy() -> String {
    let style = BASE64.encode(digest(&SHA256, STYLE.as_bytes()).as_ref());
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// A QR code in the page itself.
fn picture(code: &QrCode) -> String {
    let svg = code.render::<svg::Color<'_>>().build();
    let svg = svg.find("<svg").and_then(|at| svg.get(at..)).unwrap_or_default();
    let svg = svg.replacen("<svg", "<svg role=\"img\" aria-label=\"The address as a QR code\"", 1);
    format!("{svg}\n")
}

fn table(limits: &Limits) -> String {
    let days = |seconds: u32| match (seconds / 86_400, seconds % 86_400) {
        (1, 0) => "1 day".to_owned(),
        (days, 0) => format!("{days} days"),
        _ => format!("{seconds} seconds"),
    };
    let admits = if limits.token_needed { "who has a token of the operator" } else { "everybody" };
    let rows = [
        ("New accounts", admits.to_owned()),
        ("A letter is kept for, unless it says otherwise", days(limits.ttl_default.get())),
        ("A letter is kept for at most", days(limits.ttl_max.get())),
        ("The largest letter, sealed", format!("{} bytes", limits.body_bytes)),
        ("Letters in one mailbox", limits.mailbox_entries.to_string()),
        ("Bytes in one mailbox", limits.mailbox_bytes.to_string()),
    ];
    let rows = rows.map(|(what, value)| format!("<tr><th scope=\"row\">{what}<td>{value}\n"));
    format!("<table>\n{}</table>\n", rows.concat())
}

/// A heading and a text, linked if it is a link; nothing if there is no text.
fn about(heading: &str, text: &str) -> String {
    let shown = escaped(text);
    let is_link = ["https://", "http://", "mailto:"].iter().any(|start| text.starts_with(start));
    let shown = match shown.strip_prefix("mailto:") {
        Some(mail) => format!("<a href=\"{shown}\">{mail}</a>"),
        None if is_link => format!("<a href=\"{shown}\" rel=\"noreferrer\">{shown}</a>"),
        None => shown,
    };
    if text.is_empty() { shown } else { format!("<h2>{heading}</h2>\n{}", paragraph(&shown)) }
}

fn paragraph(html: &str) -> String {
    if html.is_empty() { String::new() } else { format!("<p>{html}</p>\n") }
}

/// Text as HTML, in content and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            char => html.push(char),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox;
    use crate::ops::config::told_limits;

    fn page(host: &str, text: &str, contact: &str, source: &str) -> Page {
        let identity = restante_spec::ids::PublicKey::new([7; 32]);
        let address = RelayAddress::new(identity, host, 7443).unwrap();
        let (operator_text, contact, source) = (text.into(), contact.into(), source.into());
        let settings = Settings { operator_text, contact, source, ..Settings::default() };
        Page::new(&address, &settings, &told_limits(&mailbox::Settings::default()))
    }

    /// TRN-11: the operator's words are shown as they are, and never are markup.
    #[test]
    fn words_are_text() {
        let nasty = "<script>alert('a & \"b\"')</script>";
        let page = page("x", nasty, nasty, "https://example.org/\"><b>");
        assert!(!page.html.contains("<script") && !page.html.contains("\"><b>"), "{}", page.html);
        let shown = "&lt;script&gt;alert(&#39;a &amp; &quot;b&quot;&#39;)&lt;/script&gt;";
        assert_eq!(page.html.matches(shown).count(), 2);
    }

    #[test]
    fn what_is_a_link_is_linked_and_what_is_not_there_is_not_shown() {
        let page = |contact, source| page("::1", "", contact, source).html;
        let full = page("mailto:post@example.org", "https://example.org/source");
        assert!(full.contains("<a href=\"mailto:post@example.org\">post@example.org</a>"));
        assert!(full.contains("<a href=\"https://example.org/source\" rel=\"noreferrer\">"));
        assert!(full.contains("wss://[::1]:7443/v1"));
        assert!(page("javascript:alert(1)", "").contains("<p>javascript:alert(1)</p>"));
        let bare = page("", "");
        assert!(!bare.contains("Contact") && !bare.contains("Source") && !bare.contains("<p></p>"));
    }

    /// TRN-11: the address is there as text and as a picture, the limits are those of `hello`.
    #[test]
    fn address_and_limits_are_there() {
        let html = page("relay.example.org", "", "", "").html;
        assert!(html.contains("@relay.example.org:7443</code>"));
        assert_eq!(html.matches("<svg ").count(), 1);
        assert!(!html.contains("<?xml"));
        for told in ["14 days", "30 days", "64800 bytes", "10000", "67108864"] {
            assert!(html.contains(&format!("<td>{told}\n")), "{told}");
        }
    }
}
