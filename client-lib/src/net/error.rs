//! Why a link is not there, or a request on it was not answered as hoped.
//!
//! Knows how it reads for the SDK's callers; must not know sockets.

use std::time::Duration;

use restante_spec::codes::Code;
use restante_spec::frame::FrameError;
use restante_spec::message::Refusal;

use crate::error::Error;

/// What can go wrong between this device and a relay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// The name is not known, or nobody answers there. Try again later.
    #[error("{0}")]
    Unreachable(String),
    /// Somebody answers, but not in TLS 1.3 as a relay speaks it.
    #[error("what answers there does not speak TLS as a relay does: {0}")]
    NotTls(String),
    /// TLS, but not this protocol (TRN-2).
    #[error("what answers there is no relay: it does not speak restante/1")]
    WrongProtocol,
    /// `welcome` names another identity than the address (TRN-6).
    #[error("the relay has another identity than its address names")]
    WrongIdentity,
    /// The identity key does not vouch for the TLS key (TRN-5).
    #[error("the relay's endorsement does not hold: {0}")]
    BadEndorsement(restante_crypto::Error),
    /// The endorsement speaks of another certificate than the handshake's (TRN-6).
    #[error("the relay's endorsement is for another certificate")]
    WrongCertificate,
    /// No version is spoken on both sides (TRN-7). Update one of them.
    #[error("this program and the relay have no protocol version in common")]
    Unsupported,
    /// What arrived is no frame of the protocol.
    #[error("the relay sent what cannot be read: {0}")]
    BadFrame(#[from] FrameError),
    /// A reply that does not belong to its request.
    #[error("the relay answered something else than was asked")]
    Unexpected,
    /// The time for making the link has passed.
    #[error("no answer in time")]
    Timeout,
    /// The link is gone; whether the request was carried out is not known.
    #[error("the connection was lost")]
    Lost,
    /// Too many requests wait to be sent; this one was not.
    #[error("too many requests are waiting")]
    Busy,
    /// The relay said no.
    #[error("the relay refused: {}", .0.code.name())]
    Refused(Refusal),
}

impl LinkError {
    /// Whether somebody else than the address names answers: nothing was told to them.
    pub(crate) const fn is_wrong_relay(&self) -> bool {
        match self {
            Self::WrongIdentity | Self::WrongCertificate => true,
            // What has run out may as well be this device's wrong clock.
            Self::BadEndorsement(error) => !matches!(
                error,
                restante_crypto::Error::EndorsementExpired { .. }
                    | restante_crypto::Error::EndorsementTooLong { .. }
            ),
            Self::Unreachable(_)
            | Self::NotTls(_)
            | Self::WrongProtocol
            | Self::Unsupported
            | Self::BadFrame(_)
            | Self::Unexpected
            | Self::Timeout
            | Self::Lost
            | Self::Busy
            | Self::Refused(_) => false,
        }
    }

    /// When the relay wants to be asked again, if it said so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => {
                refusal.retry_after.map(|after| Duration::from_secs(u64::from(after.get())))
            }
            _ => None,
        }
    }
}

impl From<LinkError> for Error {
    fn from(error: LinkError) -> Self {
        match error {
            _ if error.is_wrong_relay() => Self::WrongRelay,
            LinkError::Refused(refusal) => Self::Refused(refusal.code),
            LinkError::Unsupported => Self::Refused(Code::Unsupported),
            LinkError::Unreachable(_)
            | LinkError::NotTls(_)
            | LinkError::WrongProtocol
            | LinkError::WrongIdentity
            | LinkError::BadEndorsement(_)
            | LinkError::WrongCertificate
            | LinkError::BadFrame(_)
            | LinkError::Unexpected
            | LinkError::Timeout
            | LinkError::Lost
            | LinkError::Busy => Self::Unreachable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TRN-6: someone else in the line is told apart from a clock that is wrong.
    #[test]
    fn only_another_relay_is_a_wrong_relay() {
        let expired = restante_crypto::Error::EndorsementExpired { not_after: 1, now: 2 };
        assert_eq!(Error::from(LinkError::WrongIdentity), Error::WrongRelay);
        assert_eq!(Error::from(LinkError::WrongCertificate), Error::WrongRelay);
        let forged = LinkError::BadEndorsement(restante_crypto::Error::BadSignature);
        assert_eq!(Error::from(forged), Error::WrongRelay);
        let late = Error::from(LinkError::BadEndorsement(expired));
        assert!(matches!(late, Error::Unreachable(_)));
    }
}
