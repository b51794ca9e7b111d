//! TCP connections from chosen addresses of this machine: all of 127.0.0.0/8 is its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use restante_spec::address::RelayAddress;
use tokio::net::{TcpSocket, TcpStream};

/// Connects from this address; `buffer` bounds what the system takes in for it unread, in bytes.
///
/// # Errors
/// The system's.
pub async fn connect(
    from: Ipv4Addr,
    buffer: Option<u32>,
    relay: &RelayAddress,
) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(SocketAddr::new(from.into(), 0))?;
    let host: Ipv4Addr = relay.host().parse().expect("an address as host");
    let stream = socket.connect(SocketAddr::new(host.into(), relay.port())).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
