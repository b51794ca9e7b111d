//! What the operator may set, by flag or environment; each with its default and its effect.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use restante_spec::limits;
use restante_spec::message::{Credit, Limits};

use crate::error::Error;
use crate::{gateway, mailbox};

/// Keeps sealed letters for a while, until they are called for.
#[derive(Debug, Parser)]
#[command(name = "restante-relay", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the relay until it is told to stop (SIGTERM, Ctrl-C).
    Serve(Serve),
}

/// How to run the relay.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Where identity, keys and the buffer are kept [default: the platform's place for data].
    #[arg(long, env = "RESTANTE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The address to listen on; port 0 lets the system choose.
    #[arg(long, env = "RESTANTE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:7443")]
    pub listen: SocketAddr,
    /// What the relay's address names, where it differs from the listening address.
    #[arg(long, env = "RESTANTE_PUBLIC", value_name = "HOST[:PORT]")]
    pub public: Option<String>,
    /// A few words to every client, such as who runs this relay.
    #[arg(long, env = "RESTANTE_OPERATOR_TEXT", value_name = "TEXT", default_value = "")]
    pub operator_text: String,
    /// How much is logged, on stderr: error, warn, info, debug.
    #[arg(long, env = "RESTANTE_LOG", value_name = "LEVEL", default_value = "info")]
    pub log: String,
    /// The most connections at once.
    #[arg(long, env = "RESTANTE_CONNECTIONS", value_name = "N",
          default_value_t = limits::CONNECTIONS)]
    pub connections: usize,
    /// The most connections at once from one address (IPv6: from one /64).
    #[arg(long, env = "RESTANTE_CONNECTIONS_PER_PREFIX", value_name = "N",
          default_value_t = limits::CONNECTIONS_PER_PREFIX)]
    pub connections_per_prefix: usize,
    /// The most mailboxes.
    #[arg(long, env = "RESTANTE_MAILBOXES", value_name = "N", default_value_t = limits::MAILBOXES)]
    pub mailboxes: u64,
    /// The most envelopes one mailbox may hold.
    #[arg(long, env = "RESTANTE_MAILBOX_ENTRIES", value_name = "N",
          default_value_t = limits::MAILBOX_ENTRIES,
          value_parser = clap::value_parser!(u32).range(
              i64::from(limits::COMMIT_RESERVE_ENTRIES) + 1..=i64::from(limits::MAILBOX_ENTRIES)))]
    pub mailbox_entries: u32,
}

impl Serve {
    /// The data directory.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Error> {
        if let Some(dir) = &self.data {
            return Ok(dir.clone());
        }
        Ok(dirs::data_dir().ok_or(Error::NoDataDir)?.join("restante-relay"))
    }

    /// Bounds of connections.
    pub(crate) fn gateway(&self) -> gateway::Settings {
        let mut operator_text = self.operator_text.clone();
        while operator_text.len() > limits::OPERATOR_TEXT_BYTES {
            operator_text.pop();
        }
        gateway::Settings {
            connections: self.connections.min(limits::CONNECTIONS),
            connections_per_prefix: self.connections_per_prefix,
            operator_text,
            ..gateway::Settings::default()
        }
    }

    /// Bounds of mailboxes.
    pub(crate) fn mailbox(&self) -> mailbox::Settings {
        let mut settings = mailbox::Settings { mailboxes: self.mailboxes, ..Default::default() };
        settings.quota.entries = self.mailbox_entries;
        settings
    }
}

/// What `hello` says of a relay with these settings.
pub(crate) fn told_limits(mailbox: &mailbox::Settings) -> Limits {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Limits {
        body_bytes: number(limits::BODY_BYTES),
        mailbox_entries: mailbox.quota.entries,
        mailbox_bytes: mailbox.quota.bytes,
        ttl_default: mailbox.ttl_default,
        ttl_max: mailbox.ttl_max,
        idle: limits::IDLE_MIN,
        handles: number(limits::HANDLES),
        requests_in_flight: number(limits::REQUESTS_IN_FLIGHT),
        credit: Credit { envelopes: limits::CREDIT_ENVELOPES, bytes: limits::CREDIT_BYTES },
    }
}
