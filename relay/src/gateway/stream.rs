//! A socket with TLS on it, which keeps bytes only while something is under way.
//!
//! What is read and what is encrypted passes through two buffers of the thread. A connection's own
//! memory holds a record that has not arrived whole and records that the socket did not take, so
//! that one without traffic holds none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::tls_line::{RECORD_BYTES, TlsLine};
use crate::limits::{CLOSE_QUIET, READ_BYTES};

/// A connection's stream of plaintext.
pub(super) struct Stream {
    socket: TcpStream,
    tls: TlsLine,
    /// The beginning of a record.
    partial: Vec<u8>,
    /// Records that the socket did not take yet.
    unsent: Vec<u8>,
}

thread_local! {
    static INCOMING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUTGOING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Stream {
    /// A connection before its handshake.
    ///
    /// # Errors
    /// What rustls refuses of the configuration.
    pub(super) fn new(socket: TcpStream, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let tls = TlsLine::new(config)?;
        Ok(Self { socket, tls, partial: Vec::new(), unsent: Vec::new() })
    }

    /// Makes the handshake; what the client sent with its end of it is in `plain`.
    ///
    /// # Errors
    /// The socket's, or what rustls refuses of what came.
    pub(super) async fn handshake(&mut self, plain: &mut BytesMut) -> io::Result<()> {
        while self.tls.is_handshaking() || !self.unsent.is_empty() {
            std::future::poll_fn(|cx| self.poll_ready(cx, self.unsent.is_empty(), plain)).await?;
        }
        Ok(())
    }

    /// The protocol both sides agreed on (TRN-2).
    pub(super) fn protocol(&self) -> Option<&[u8]> {
        self.tls.protocol()
    }

    /// Whether records wait for the socket.
    pub(super) const fn is_stuck(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Bytes of records that are not whole, or not sent.
    pub(super) const fn held(&self) -> usize {
        self.partial.len() + self.unsent.len()
    }

    /// Whether nothing more will come.
    pub(super) const fn is_ended(&self) -> bool {
        self.tls.is_ended()
    }

    /// Waits until records that were stuck are sent (`false`) or, if `reads`, something has arrived
    /// (`true`) and lies in `plain`. Safe to cancel.
    ///
    /// # Errors
    /// The socket's, or what rustls refuses of what came.
    pub(super) async fn ready(&mut self, reads: bool, plain: &mut BytesMut) -> io::Result<bool> {
        std::future::poll_fn(|cx| self.poll_ready(cx, reads, plain)).await
    }

    /// Sends what is in `plain` as far as the socket takes it; the rest of it, and at most some
    /// records, stay. Never waits.
    ///
    /// # Errors
    /// The socket's, or rustls'.
    pub(super) fn send(&mut self, plain: &mut BytesMut) -> io::Result<()> {
        OUTGOING.with_borrow_mut(|out| -> io::Result<()> {
            while !plain.is_empty() && self.unsent.is_empty() {
                let size = plain.len().min(SEND_BYTES);
                out.clear();
                self.tls.send(plain.get(..size).unwrap_or_default(), out).map_err(tls)?;
                plain.advance(size);
                let sent = match self.socket.try_write(out) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    sent => sent?,
                };
                self.unsent.extend_from_slice(out.get(sent..).unwrap_or_default());
            }
            Ok(())
        })?;
        if plain.is_empty() {
            // Its memory may be large, and is not needed again soon.
            *plain = BytesMut::new();
        }
        Ok(())
    }

    /// Says that nothing more will be sent, and waits until that is with the system.
    ///
    /// # Errors
    /// The socket's, or rustls'.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.tls.close(&mut self.unsent).map_err(tls)?;
        while self.is_stuck() {
            std::future::poll_fn(|cx| self.poll_unsent(cx)).await?;
        }
        tokio::io::AsyncWriteExt::shutdown(&mut self.socket).await
    }

    /// Behind [`Stream::close`]: reads and drops what still comes, until the other side closes too,
    /// falls silent, or `end`. Of a socket closed with something unread the system takes back what
    /// the other side has not received (RFC 9112, section 9.6).
    pub(super) async fn linger(&mut self, end: Instant) {
        loop {
            let until = end.min(Instant::now() + CLOSE_QUIET);
            let dropped = std::future::poll_fn(|cx| self.poll_drop(cx));
            if !matches!(tokio::time::timeout_at(until.into(), dropped).await, Ok(Ok(1..))) {
                return;
            }
        }
    }

    /// What [`Stream::ready`] waits for.
    pub(super) fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        reads: bool,
        plain: &mut BytesMut,
    ) -> Poll<io::Result<bool>> {
        if self.is_stuck() && self.poll_unsent(cx)?.is_ready() {
            return Poll::Ready(Ok(false));
        }
        if reads { self.poll_receive(cx, plain).map_ok(|()| true) } else { Poll::Pending }
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.is_stuck() {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.unsent))?;
            self.unsent.drain(..sent);
        }
        self.unsent = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Reads some bytes and keeps none of them. Returns how many.
    fn poll_drop(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        INCOMING.with_borrow_mut(|incoming| {
            incoming.resize(READ_BYTES, 0);
            let mut read = ReadBuf::new(incoming);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read))?;
            Poll::Ready(Ok(read.filled().len()))
        })
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, plain: &mut BytesMut) -> Poll<io::Result<()>> {
        INCOMING.with_borrow_mut(|incoming| {
            incoming.resize(READ_BYTES, 0);
            let before = self.partial.len();
            let (begun, space) = incoming.split_at_mut(before);
            begun.copy_from_slice(&self.partial);
            let mut read = ReadBuf::new(space);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read))?;
            let arrived = read.filled().len();
            if arrived == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            plain.reserve(arrived);
            let all = incoming.get_mut(..before + arrived).unwrap_or_default();
            let taken = match self.tls.receive(all, plain, &mut self.unsent) {
                Ok(taken) => taken,
                Err(error) => {
                    // The other side is told why, if it still listens.
                    let _ = self.socket.try_write(&self.unsent);
                    return Poll::Ready(Err(tls(error)));
                }
            };
            let rest = all.get(taken..).unwrap_or_default();
            if rest.len() >= PARTIAL_BYTES {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            self.partial = rest.to_vec();
            Poll::Ready(Ok(()))
        })
    }
}

/// RFC 8446, section 5: a record, or a message of the handshake that came in several, is kept
/// until it is whole; none that a client sends is as large as two records.
const PARTIAL_BYTES: usize = 2 * RECORD_BYTES;
const _: () = assert!(PARTIAL_BYTES < READ_BYTES, "what is kept leaves room to read");

/// Encrypted at a time, in units of records: a few, so that one write carries them.
const SEND_BYTES: usize = 3 * RECORD_BYTES;

fn tls(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
