//! What carries a test's frames: TLS alone, or on it a WebSocket of another maker (tungstenite).
//!
//! Knows how frames travel; must not know what they say.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use restante_spec::address::RelayAddress;
use restante_spec::{ALPN, ALPN_HTTP, WEBSOCKET_PATH, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::wire::{tls, tls_on};

/// How frames are carried.
#[derive(Clone, Copy, Debug)]
pub enum Transport {
    /// One after another (ALPN `restante/1`).
    Frames,
    /// As messages (ALPN `http/1.1`).
    WebSocket,
}

impl Transport {
    /// By which TLS tells it apart.
    const fn protocol(self) -> &'static [u8] {
        match self {
            Self::Frames => ALPN,
            Self::WebSocket => ALPN_HTTP,
        }
    }
}

/// A connection before anything is said on it.
pub enum Line {
    /// One frame after another.
    Frames(Box<TlsStream<TcpStream>>),
    /// A frame is a message.
    WebSocket(Box<WebSocketStream<TlsStream<TcpStream>>>),
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// What TCP, TLS or the handshake of the WebSocket say.
    pub async fn connect(transport: Transport, address: &RelayAddress) -> io::Result<Self> {
        Self::begin(transport, tls(address, &[transport.protocol()]).await?).await
    }

    /// On a TCP connection that is made.
    ///
    /// # Errors
    /// What TLS or the handshake of the WebSocket say.
    pub async fn on(
        tcp: TcpStream,
        transport: Transport,
        address: &RelayAddress,
    ) -> io::Result<Self> {
        Self::begin(transport, tls_on(tcp, address, &[transport.protocol()]).await?).await
    }

    async fn begin(transport: Transport, stream: TlsStream<TcpStream>) -> io::Result<Self> {
        match transport {
            Transport::Frames => Ok(Self::Frames(Box::new(stream))),
            Transport::WebSocket => {
                let url = format!("wss://relay{WEBSOCKET_PATH}");
                let made = tokio_tungstenite::client_async(url, stream).await.map_err(other)?;
                Ok(Self::WebSocket(Box::new(made.0)))
            }
        }
    }

    /// The TLS below.
    pub fn tls(&self) -> &TlsStream<TcpStream> {
        match self {
            Self::Frames(stream) => stream,
            Self::WebSocket(socket) => socket.get_ref(),
        }
    }

    /// Sends bytes as they are; they are one message.
    ///
    /// # Errors
    /// That the line is broken.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Frames(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Self::WebSocket(socket) => {
                let message = Message::Binary(Bytes::copy_from_slice(bytes));
                socket.send(message).await.map_err(other)
            }
        }
    }

    /// Sends whole frames together.
    ///
    /// # Errors
    /// That the line is broken.
    pub async fn send_all(&mut self, frames: &mut BytesMut) -> io::Result<()> {
        match self {
            Self::Frames(stream) => {
                stream.write_all_buf(frames).await?;
                stream.flush().await
            }
            Self::WebSocket(socket) => {
                while let Some(size) = frame::announced(frames) {
                    let message = Message::Binary(frames.split_to(size).freeze());
                    socket.feed(message).await.map_err(other)?;
                }
                socket.flush().await.map_err(other)
            }
        }
    }

    /// Waits for bytes; `false` if none will come.
    pub async fn receive(&mut self, input: &mut BytesMut) -> bool {
        match self {
            Self::Frames(stream) => matches!(stream.read_buf(input).await, Ok(1..)),
            Self::WebSocket(socket) => match socket.next().await {
                Some(Ok(Message::Binary(message))) => {
                    // TRN-12: from the relay, too, a message is one frame.
                    assert_eq!(frame::announced(&message), Some(message.len()));
                    input.extend_from_slice(&message);
                    true
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => false,
                Some(Ok(other)) => panic!("the relay sends frames only: {other:?}"),
            },
        }
    }
}

fn other(error: Error) -> io::Error {
    io::Error::other(error)
}
