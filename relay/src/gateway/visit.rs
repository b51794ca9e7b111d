//! The shell of a connection that speaks HTTP: one request, one answer (TRN-11).

use std::io;
use std::time::Instant;

use bytes::BytesMut;

use super::http::Request;
use super::link::Link;
use super::page::Page;
use super::stream::Stream;
use crate::limits::CLOSE_TIME;
use crate::ops::metrics;

/// Answers the request that comes, of which `input` may hold a part; the link if it has become a
/// WebSocket, with the frames that came right behind in `input`.
///
/// # Errors
/// The socket's, or what rustls refuses of what came.
pub(super) async fn serve(
    mut stream: Stream,
    input: &mut BytesMut,
    page: &Page,
) -> io::Result<Option<Link>> {
    let request = loop {
        if let Some(request) = Request::read(input) {
            break request;
        }
        if stream.is_ended() {
            return Ok(None);
        }
        stream.ready(true, input).await?;
    };
    let mut answer = request.answer(page);
    stream.send(&mut answer)?;
    while stream.is_stuck() {
        stream.ready(false, input).await?;
        stream.send(&mut answer)?;
    }
    if let Request::WebSocket { .. } = request {
        let incoming = std::mem::take(input);
        return Ok(Some(Link::websocket(stream, incoming, input)));
    }
    metrics::TRANSPORTS.count(metrics::Transport::Http);
    stream.close().await?;
    stream.linger(Instant::now() + CLOSE_TIME).await;
    Ok(None)
}
