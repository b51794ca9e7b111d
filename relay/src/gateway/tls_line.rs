//! TLS without buffers of its own: records in, plaintext out, and the other way round.
//!
//! An idle connection keeps nothing but its keys; the bytes lie with whoever calls.
//! Sans-IO: knows records; must not know sockets or frames.

use std::sync::Arc;

use bytes::BytesMut;
use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};

/// The relay's half of one TLS connection.
pub(super) struct TlsLine {
    tls: UnbufferedServerConnection,
    /// The other side has said that nothing more will come.
    is_ended: bool,
}

impl TlsLine {
    /// A connection before its handshake.
    ///
    /// # Errors
    /// What rustls refuses of the configuration.
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self { tls: UnbufferedServerConnection::new(config)?, is_ended: false })
    }

    /// Whether the handshake is still under way.
    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// The protocol both sides agreed on (TRN-2).
    pub(super) fn protocol(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// Whether the other side has said that nothing more will come.
    pub(super) const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Takes whole records off the front of `incoming`: what they hold is added to `plain`, what
    /// TLS itself has to say to `out`. Returns how many bytes were taken.
    ///
    /// # Errors
    /// What rustls refuses of what came; the alert for the other side is in `out` then.
    pub(super) fn receive(
        &mut self,
        incoming: &mut [u8],
        plain: &mut BytesMut,
        out: &mut Vec<u8>,
    ) -> Result<usize, rustls::Error> {
        let mut taken = 0;
        let mut failed = None;
        loop {
            let rest = incoming.get_mut(taken..).unwrap_or_default();
            // After a failure only what is to be said is asked for.
            let rest = if failed.is_some() { &mut [] } else { rest };
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(rest);
            taken += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        taken += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.is_ended = true,
                Ok(_) => return failed.map_or(Ok(taken), Err),
                Err(error) if failed.is_none() => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds records that hold `plain` to `out`.
    ///
    /// # Errors
    /// When the connection cannot carry more: its keys are used up, or no handshake was made.
    pub(super) fn send(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), rustls::Error> {
        let records = plain.len() / RECORD_BYTES + 1;
        let mut is_exhausted = false;
        self.write(out, plain.len() + records * RECORD_OVERHEAD, |traffic, space| {
            let encrypted = traffic.encrypt(plain, space);
            is_exhausted = matches!(encrypted, Err(EncryptError::EncryptExhausted));
            encrypted
        })?;
        if is_exhausted { Err(rustls::Error::EncryptError) } else { Ok(()) }
    }

    /// Adds to `out` that nothing more will be sent.
    ///
    /// # Errors
    /// When no handshake was made.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) -> Result<(), rustls::Error> {
        self.write(out, RECORD_OVERHEAD, |traffic, space| traffic.queue_close_notify(space))
    }

    /// Lets `write` add to `out`, behind what TLS itself has to say; `hint`: about so many bytes.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        hint: usize,
        mut write: impl FnMut(
            &mut WriteTraffic<'_, ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<(), rustls::Error> {
        loop {
            match self.tls.process_tls_records(&mut []).state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    append(out, hint, |space| match write(&mut traffic, space) {
                        Ok(size) => Ok(size),
                        Err(EncryptError::InsufficientSize(needed)) => Err(needed.required_size),
                        Err(EncryptError::EncryptExhausted) => Ok(0),
                    });
                    return Ok(());
                }
                ConnectionState::EncodeTlsData(data) => encode(data, out),
                ConnectionState::TransmitTlsData(data) => data.done(),
                _ => return Err(rustls::Error::HandshakeNotComplete),
            }
        }
    }
}

/// RFC 8446, section 5.1: a record holds at most so many bytes.
pub(super) const RECORD_BYTES: usize = 16_384;
/// RFC 8446, section 5.2: header, content type and tag around them.
const RECORD_OVERHEAD: usize = 5 + 1 + 16;

fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) {
    append(out, 0, |space| match data.encode(space) {
        Ok(size) => Ok(size),
        Err(EncodeError::InsufficientSize(needed)) => Err(needed.required_size),
        Err(EncodeError::AlreadyEncoded) => Ok(0),
    });
}

/// Adds what `write` puts into the space it is given; it says how much that was, or how much space
/// it needs.
fn append(
    out: &mut Vec<u8>,
    hint: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, usize>,
) {
    let before = out.len();
    out.resize(before + hint, 0);
    loop {
        match write(out.get_mut(before..).unwrap_or_default()) {
            Ok(size) => return out.truncate(before + size),
            Err(needed) => out.resize(before + needed, 0),
        }
    }
}
