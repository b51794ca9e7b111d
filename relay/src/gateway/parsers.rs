//! What reads bytes of strangers here, for fuzzing: thin, and only with the feature `simulation`.

use bytes::BytesMut;

use super::http::Request;
use super::websocket::WebSocket;

/// Takes a whole HTTP request off the front of `input`, and says what it comes to.
pub fn http(input: &mut BytesMut) -> Option<String> {
    Request::read(input).map(|request| format!("{request:?}"))
}

/// The relay's half of a WebSocket whose handshake is made.
#[derive(Default)]
pub struct Socket {
    socket: WebSocket,
    /// The protocol's frames that have come so far.
    pub frames: BytesMut,
}

impl Socket {
    /// Bytes have arrived.
    pub fn receive(&mut self, bytes: &[u8]) {
        if !self.socket.is_ended() {
            self.socket.incoming.extend_from_slice(bytes);
            self.socket.receive(&mut self.frames);
        }
    }

    /// Whether nothing more is read.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.socket.is_ended()
    }

    /// Everything it says when these frames are sent, up to the close that its end asks for.
    pub fn say(&mut self, mut frames: BytesMut) -> BytesMut {
        let mut said = BytesMut::new();
        loop {
            self.socket.wrap(&mut frames);
            if self.socket.outgoing.is_empty() {
                break;
            }
            said.unsplit(self.socket.outgoing.split());
        }
        self.socket.close(super::websocket::CloseCode::GOING_AWAY);
        said.unsplit(self.socket.outgoing.split());
        said
    }
}
