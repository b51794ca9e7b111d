//! What the operator may set, by flag, environment or file; each with its default and its effect.
//!
//! Every field of [`Serve`] but `config` is a flag `--some-key`, a variable `RESTANTE_SOME_KEY` and
//! a key `some_key` of the file (`ops/file.rs`): one declaration, one check.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, RangedI64ValueParser, RangedU64ValueParser};
use clap::{Args, Parser, Subcommand};
use restante_spec::address::{AddressError, RelayAddress};
use restante_spec::ids::{PublicKey, Seconds};
use restante_spec::limits;
use restante_spec::message::{Credit, Limits};
use tracing_subscriber::EnvFilter;

use super::certificate::CertificateFiles;
use super::datadir::BLOBS;
use super::invite::Invite;
use crate::buffer::blobs::{Bucket, Place};
use crate::error::Error;
use crate::limits::{
    ACT_BYTES, ALLOCATOR_SHARE, BLOB_WAITING_BYTES, CONNECTION_BYTES, ENVELOPE_BYTES,
    MAILBOX_BYTES, OWN_BYTES, PER_MINUTE_MAX, PREFIX_BYTES, PREFIXES, PROGRAM_BYTES,
    STORE_WORK_BYTES, UNWRITTEN_BYTES,
};
use crate::{buffer, gateway, mailbox};

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
    Serve(Box<Serve>),
    /// Says whether a relay could run with these settings; changes nothing.
    Check(Box<Serve>),
    /// Prints what the relay that runs on the data directory counts, as /metrics does.
    Stats(Box<Serve>),
    /// Has the relay that runs on the data directory drain and stop, and waits until it has.
    Drain(Box<Serve>),
    /// Has the relay that runs on the data directory write a backup, and looks through it.
    Backup(Box<WithFile>),
    /// Looks through a backup: whether it is whole.
    Verify {
        /// The backup.
        file: PathBuf,
    },
    /// Makes a new data directory of a backup.
    Restore(Box<WithFile>),
    /// Makes, lists and revokes the tokens that admit new accounts where admission is by token.
    #[command(subcommand)]
    Invite(Invite),
    /// Prints a configuration file with every key, what it does, and its default.
    Config,
    /// Prints the man page, for packagers.
    #[command(hide = true)]
    Man,
}

/// A backup, and the settings of the relay it is of.
#[derive(Args, Clone, Debug)]
pub struct WithFile {
    /// The backup.
    pub file: PathBuf,
    /// The relay's settings.
    #[command(flatten)]
    pub serve: Serve,
}

/// How to run the relay.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// A configuration file (TOML); flags win over the environment, and that over the file.
    #[arg(long, env = "RESTANTE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where identity, keys and the buffer are kept; without it, the platform's place for data.
    #[arg(long, env = "RESTANTE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The address to listen on; port 0 lets the system choose.
    #[arg(long, env = "RESTANTE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:7443")]
    pub listen: SocketAddr,
    /// What the relay's address names, where it differs from the listening address.
    #[arg(long, env = "RESTANTE_PUBLIC", value_name = "HOST[:PORT]")]
    pub public: Option<String>,
    /// A second address, for the operator only: /metrics, /livez and /readyz over HTTP; without it,
    /// there are none.
    #[arg(long, env = "RESTANTE_METRICS_LISTEN", value_name = "ADDR")]
    pub metrics_listen: Option<SocketAddr>,
    /// A certificate and those that lead to its issuer (PEM), read anew when the file changes;
    /// without it, the relay makes its own.
    #[arg(long, env = "RESTANTE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM).
    #[arg(long, env = "RESTANTE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// A few words to every client and on the public page, such as who runs this relay; cut at 1024
    /// bytes.
    #[arg(long, env = "RESTANTE_OPERATOR_TEXT", value_name = "TEXT", default_value = "")]
    pub operator_text: String,
    /// On the public page: whom to write to; linked if it begins with mailto: or https://.
    #[arg(long, env = "RESTANTE_CONTACT", value_name = "TEXT", default_value = "",
          value_parser = short)]
    pub contact: String,
    /// On the public page: where the source code of this relay is; linked if it begins with
    /// https://.
    #[arg(long, env = "RESTANTE_SOURCE", value_name = "URL", default_value = "",
          value_parser = short)]
    pub source: String,
    /// How much is logged, on stderr: error, warn, info, debug.
    #[arg(long, env = "RESTANTE_LOG", value_name = "LEVEL", default_value = "info",
          value_parser = log_level)]
    pub log: String,
    /// The most connections at once.
    #[arg(long, env = "RESTANTE_CONNECTIONS", value_name = "N",
          default_value_t = limits::CONNECTIONS, value_parser = up_to(limits::CONNECTIONS))]
    pub connections: usize,
    /// The most connections at once from one address (IPv6: from one /64).
    #[arg(long, env = "RESTANTE_CONNECTIONS_PER_PREFIX", value_name = "N",
          default_value_t = limits::CONNECTIONS_PER_PREFIX,
          value_parser = up_to(limits::CONNECTIONS))]
    pub connections_per_prefix: usize,
    /// The most TLS handshakes under way at once, an eighth of them from one address (IPv6: from
    /// one /64).
    #[arg(long, env = "RESTANTE_HANDSHAKES", value_name = "N",
          default_value_t = limits::HANDSHAKES_IN_FLIGHT,
          value_parser = up_to(limits::HANDSHAKES_IN_FLIGHT))]
    pub handshakes: usize,
    /// The most new connections in a minute from one address (IPv6: from one /64).
    #[arg(long, env = "RESTANTE_CONNECTS_PER_MINUTE", value_name = "N",
          default_value_t = limits::CONNECTS_PER_MINUTE, value_parser = per_minute())]
    pub connects_per_minute: u32,
    /// The most failed handshakes and failed opens in a minute from one address (IPv6: from one
    /// /64); beyond, nobody from there is let in.
    #[arg(long, env = "RESTANTE_FAILURES_PER_MINUTE", value_name = "N",
          default_value_t = limits::FAILURES_PER_MINUTE, value_parser = per_minute())]
    pub failures_per_minute: u32,
    /// The most new mailboxes in a minute from one address (IPv6: from one /64).
    #[arg(long, env = "RESTANTE_CREATES_PER_MINUTE", value_name = "N",
          default_value_t = limits::CREATES_PER_MINUTE, value_parser = per_minute())]
    pub creates_per_minute: u32,
    /// Memory for what waits on connections, beyond 192 KiB for each of them, in MiB.
    #[arg(long, env = "RESTANTE_HELD_MIB", value_name = "N", default_value_t = HELD_MIB,
          value_parser = up_to(CACHE_MIB_MAX))]
    pub held_mib: usize,
    /// The most mailboxes; 0 takes no new ones.
    #[arg(long, env = "RESTANTE_MAILBOXES", value_name = "N", default_value_t = limits::MAILBOXES,
          value_parser = clap::value_parser!(u64).range(0..=limits::MAILBOXES))]
    pub mailboxes: u64,
    /// The most envelopes in all mailboxes together, with all of the last two minutes, whose ids
    /// are remembered; each needs memory, and `check` says how much.
    #[arg(long, env = "RESTANTE_ENVELOPES", value_name = "N", default_value_t = limits::ENVELOPES,
          value_parser = clap::value_parser!(u64).range(1..=ENVELOPES_MAX))]
    pub envelopes: u64,
    /// The most envelopes one mailbox may hold.
    #[arg(long, env = "RESTANTE_MAILBOX_ENTRIES", value_name = "N",
          default_value_t = limits::MAILBOX_ENTRIES,
          value_parser = clap::value_parser!(u32).range(
              i64::from(limits::COMMIT_RESERVE_ENTRIES) + 1..=i64::from(limits::MAILBOX_ENTRIES)))]
    pub mailbox_entries: u32,
    /// The most bytes one mailbox may hold.
    #[arg(long, env = "RESTANTE_MAILBOX_BYTES", value_name = "N",
          default_value_t = limits::MAILBOX_BYTES,
          value_parser = clap::value_parser!(u64).range(
              2 * limits::COMMIT_RESERVE_BYTES..=limits::MAILBOX_BYTES))]
    pub mailbox_bytes: u64,
    /// The longest time that envelopes are kept, in seconds; without it, 14 days, and 30 for who
    /// asks for them.
    #[arg(long, env = "RESTANTE_TTL", value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::TTL_MAX.get())))]
    pub ttl: Option<u32>,
    /// Where blobs (attachments and the like) are kept: a directory, or s3://BUCKET or
    /// s3://BUCKET/PREFIX; without it, `blobs` in the data directory.
    #[arg(long, env = "RESTANTE_BLOBS", value_name = "PLACE")]
    pub blobs: Option<String>,
    /// The most bytes of all blobs together; 0 takes no new ones.
    #[arg(long, env = "RESTANTE_BLOB_BYTES", value_name = "N",
          default_value_t = limits::RELAY_BLOB_BYTES)]
    pub blob_bytes: u64,
    /// For blobs in S3: the URL of the object store; without it, that of AWS.
    #[arg(long, env = "RESTANTE_S3_ENDPOINT", value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// For blobs in S3: the region; without it, us-east-1.
    #[arg(long, env = "RESTANTE_S3_REGION", value_name = "NAME")]
    pub s3_region: Option<String>,
    /// For blobs in S3: a file with two lines, the id of the access key and its secret; without it,
    /// the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    #[arg(long, env = "RESTANTE_S3_CREDENTIALS", value_name = "FILE")]
    pub s3_credentials: Option<PathBuf>,
    /// Who may make mailboxes: everybody (open), or who has a token, see `restante-relay invite`
    /// (token).
    #[arg(long, env = "RESTANTE_ADMISSION", value_name = "WHO", default_value = "open",
          value_parser = PossibleValuesParser::new([OPEN, TOKEN]))]
    pub admission: String,
    /// With less than so many MiB free on the disk no new mailboxes are taken, with half of it no
    /// live envelopes, with a quarter no envelopes; 0 takes them until the disk is full.
    #[arg(long, env = "RESTANTE_DISK_RESERVE_MIB", value_name = "N",
          default_value_t = DISK_RESERVE_MIB,
          value_parser = clap::value_parser!(u64).range(0..=DISK_RESERVE_MIB_MAX))]
    pub disk_reserve_mib: u64,
    /// Memory for pages of the store, in MiB.
    #[arg(long, env = "RESTANTE_CACHE_MIB", value_name = "N", default_value_t = CACHE_MIB,
          value_parser = up_to(CACHE_MIB_MAX))]
    pub cache_mib: usize,
    /// How long memory-first mailboxes keep an envelope in memory before it is written, in
    /// milliseconds: readers that confirm within this time spare the disk, and senders wait two to
    /// three times as long for their answer.
    #[arg(long, env = "RESTANTE_HOLD_MS", value_name = "N", default_value_t = HOLD_MS,
          value_parser = clap::value_parser!(u64).range(1..=HOLD_MS_MAX))]
    pub hold_ms: u64,
}

/// Longer than a round trip to most readers, shorter than anybody minds.
const HOLD_MS: u64 = 20;
/// The most of it: senders wait.
const HOLD_MS_MAX: u64 = 1_000;

/// Everybody may make mailboxes.
const OPEN: &str = "open";
/// Whoever has a token may (ADM-1).
const TOKEN: &str = "token";

/// Disk space that is to stay free, in MiB (ADM-6): an hour of heavy use.
const DISK_RESERVE_MIB: u64 = 256;
/// The most of it, in MiB: 16 TiB.
const DISK_RESERVE_MIB_MAX: u64 = 16 * 1024 * 1024;

/// Unit: bytes.
const MIB: usize = 1024 * 1024;
/// Memory for pages of the store, in MiB: it touches its newest pages most.
const CACHE_MIB: usize = 128;
/// The most of it, in MiB; more memory serves the system's own cache better.
const CACHE_MIB_MAX: usize = 65_536;

/// Memory for what waits on connections, in MiB.
const HELD_MIB: usize = limits::HELD_BYTES / MIB;
/// The most envelopes in all: half a terabyte of memory.
const ENVELOPES_MAX: u64 = 1_000_000_000;
/// What a place in S3 begins with.
const S3: &str = "s3://";
/// The region of a bucket without one: the name that object stores other than AWS expect.
const S3_REGION: &str = "us-east-1";

/// A text of one line on the public page, bytes of UTF-8; longer is refused.
const PAGE_TEXT_BYTES: usize = 256;

impl Serve {
    /// The data directory.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Error> {
        if let Some(dir) = &self.data {
            return Ok(dir.clone());
        }
        Ok(dirs::data_dir().ok_or(Error::NoDataDir)?.join("restante-relay"))
    }

    /// The address clients use: the public name if there is one, and the port.
    pub(crate) fn address(
        &self,
        identity: PublicKey,
        listening: SocketAddr,
    ) -> Result<RelayAddress, Error> {
        let Some(public) = &self.public else {
            let host = listening.ip().to_string();
            return Ok(RelayAddress::new(identity, &host, listening.port())?);
        };
        // `::1` is a host, `[::1]:7443` a host with a port.
        let is_host =
            |host: &str| !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
        let with_port = public.rsplit_once(':').filter(|(host, _)| is_host(host));
        let (host, port) = match with_port {
            Some((host, port)) => (host, port.parse().map_err(|_| AddressError::Port)?),
            None => (public.as_str(), listening.port()),
        };
        Ok(RelayAddress::new(identity, host, port)?)
    }

    /// Where a certificate of the operator's lies.
    pub(crate) fn certificate_files(&self) -> Result<Option<CertificateFiles>, Error> {
        match (self.tls_cert.clone(), self.tls_key.clone()) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(CertificateFiles { certificate, key })),
            _ => Err(Error::HalfCertificate),
        }
    }

    /// Where blobs are kept.
    pub(crate) fn blobs(&self) -> Result<Place, Error> {
        let Some(bucket) = self.blobs.as_deref().and_then(|place| place.strip_prefix(S3)) else {
            let (endpoint, region) = (&self.s3_endpoint, &self.s3_region);
            if endpoint.is_some() || region.is_some() || self.s3_credentials.is_some() {
                return Err(Error::NoBucket);
            }
            let directory = self.blobs.as_ref().map(PathBuf::from);
            return Ok(Place::Directory(match directory {
                Some(directory) => directory,
                None => self.data_dir()?.join(BLOBS),
            }));
        };
        let (name, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
        Ok(Place::S3(Bucket {
            name: name.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone().unwrap_or_else(|| S3_REGION.to_owned()),
            credentials: self.s3_credentials.clone(),
        }))
    }

    /// Bounds of connections.
    pub(crate) fn gateway(&self) -> gateway::Settings {
        let mut operator_text = self.operator_text.clone();
        while operator_text.len() > limits::OPERATOR_TEXT_BYTES {
            operator_text.pop();
        }
        gateway::Settings {
            connections: self.connections,
            connections_per_prefix: self.connections_per_prefix,
            handshakes: self.handshakes,
            connects_per_minute: self.connects_per_minute,
            failures_per_minute: self.failures_per_minute,
            creates_per_minute: self.creates_per_minute,
            held_bytes: self.held_mib * MIB,
            operator_text,
            contact: self.contact.clone(),
            source: self.source.clone(),
            ..gateway::Settings::default()
        }
    }

    /// Bounds of mailboxes.
    pub(crate) fn mailbox(&self) -> mailbox::Settings {
        let mut settings = mailbox::Settings { mailboxes: self.mailboxes, ..Default::default() };
        settings.quota.entries = self.mailbox_entries;
        settings.quota.bytes = self.mailbox_bytes;
        settings.token_needed = self.admission == TOKEN;
        if let Some(ttl) = self.ttl.map(Seconds::new) {
            // MBX-11
            settings.ttl_max = ttl;
            settings.ttl_default = settings.ttl_default.min(ttl);
        }
        settings.disk_reserve = self.disk_reserve();
        settings
    }

    /// Bytes that are to stay free on the disk (ADM-6).
    pub(crate) const fn disk_reserve(&self) -> u64 {
        self.disk_reserve_mib * 1024 * 1024
    }

    /// Sizes of the buffer.
    pub(crate) fn buffer(&self) -> buffer::Settings {
        let (cache_bytes, envelopes) = (self.cache_mib * MIB, self.envelopes);
        let hold = Duration::from_millis(self.hold_ms);
        buffer::Settings { cache_bytes, envelopes, hold, ..buffer::Settings::default() }
    }

    /// The most memory a relay with these settings takes.
    ///
    /// - Each connection: what it may hold whatever others do, and what it is made of; what all
    ///   hold beyond that is `held_mib` (LIM-29).
    /// - The store: its cache; bodies in the queue, and as many that have just left it and are on
    ///   their way to readers; acts in the queue; a batch, cleaning and expiry; what memory-first
    ///   mailboxes hold, and what they remember of it (LIM-21); parts of blobs.
    /// - Each mailbox: its place in the index, and its state while it is used. One with thousands
    ///   of keys or readers takes up to a MiB more while it is used: that is not counted.
    /// - Each envelope: its place in the index (LIM-30), twice while the store is opened anew.
    /// - The program, and what is known of address prefixes.
    ///
    /// And of all that a quarter more, which the allocator keeps.
    pub(crate) fn memory(&self) -> Memory {
        let buffer = self.buffer();
        let plus = |bytes: usize| bytes as u64 + bytes as u64 / ALLOCATOR_SHARE;
        let plus_many = |count: u64, each: u64| {
            let bytes = count.saturating_mul(each);
            bytes.saturating_add(bytes / ALLOCATOR_SHARE)
        };
        let acts = buffer.queue_acts * ACT_BYTES;
        let unwritten = buffer.hold_bytes + buffer.hold_entries * UNWRITTEN_BYTES;
        let queue = 2 * buffer.queue_bytes + acts;
        let store = buffer.cache_bytes + queue + STORE_WORK_BYTES + unwritten + BLOB_WAITING_BYTES;
        let door = PREFIXES * PREFIX_BYTES;
        Memory {
            connections: plus(self.connections * (OWN_BYTES + CONNECTION_BYTES)),
            held: plus(self.held_mib * MIB),
            store: plus(store),
            mailboxes: plus_many(self.mailboxes, MAILBOX_BYTES),
            envelopes: plus_many(self.envelopes, ENVELOPE_BYTES),
            rest: plus(door + PROGRAM_BYTES),
        }
    }
}

/// The most memory a relay takes, in bytes, by what takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    connections: u64,
    held: u64,
    store: u64,
    mailboxes: u64,
    envelopes: u64,
    rest: u64,
}

impl Memory {
    fn sum(self) -> u64 {
        let Self { connections, held, store, mailboxes, envelopes, rest } = self;
        [connections, held, store, mailboxes, envelopes, rest].into_iter().sum()
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, held, store, mailboxes, envelopes, rest } = *self;
        let mib = |bytes: u64| bytes.div_ceil(MIB as u64);
        write!(
            f,
            "at most {} MiB with these settings (connections {}, held {}, store {}, mailboxes {}, \
             envelopes {}, the rest {})",
            mib(self.sum()),
            mib(connections),
            mib(held),
            mib(store),
            mib(mailboxes),
            mib(envelopes),
            mib(rest),
        )
    }
}

/// From one to the bound.
fn up_to(bound: usize) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=bound as u64)
}

/// A text for the public page.
fn short(text: &str) -> Result<String, String> {
    if text.len() > PAGE_TEXT_BYTES {
        return Err(format!("{} bytes, at most {PAGE_TEXT_BYTES} are allowed", text.len()));
    }
    Ok(text.to_owned())
}

/// What one prefix may do in a minute.
fn per_minute() -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(1..=i64::from(PER_MINUTE_MAX))
}

/// A level, or tracing's directives for those who know them.
fn log_level(text: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(text).map(|_| text.to_owned())
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
        token_needed: mailbox.token_needed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MBX-11: envelopes are kept for as long as the operator says, up to the protocol's bound.
    #[test]
    fn longest_time_is_the_operators() {
        let parse =
            |ttl: u32| Cli::try_parse_from(["restante-relay", "serve", "--ttl", &ttl.to_string()]);
        for (ttl, default) in [(1, 1), (limits::TTL_MAX.get(), limits::TTL_DEFAULT.get())] {
            let Command::Serve(serve) = parse(ttl).unwrap().command else { panic!("serve") };
            let told = told_limits(&serve.mailbox());
            assert_eq!((told.ttl_max.get(), told.ttl_default.get()), (ttl, default));
        }
        assert!(parse(0).is_err() && parse(limits::TTL_MAX.get() + 1).is_err());
    }

    fn address(public: &[&str]) -> Result<String, Error> {
        let words = ["restante-relay", "serve"].iter().chain(public);
        let Command::Serve(serve) = Cli::parse_from(words).command else { panic!("serve") };
        let address = serve.address(PublicKey::new([0; 32]), "127.0.0.1:7443".parse().unwrap())?;
        Ok(address.to_string().split_once('@').unwrap().1.to_owned())
    }

    /// Whatever is lowered of what `check` names makes the sum smaller.
    #[test]
    fn memory_follows_the_settings() {
        let sum = |flags: &[&str]| {
            let words = ["restante-relay", "serve"].iter().chain(flags);
            let Command::Serve(serve) = Cli::parse_from(words).command else { panic!("serve") };
            serve.memory().sum()
        };
        for flag in ["--connections", "--held-mib", "--mailboxes", "--envelopes", "--cache-mib"] {
            assert!(sum(&[flag, "1"]) < sum(&[]), "{flag}");
        }
    }

    /// TRN-3: what the address names.
    #[test]
    fn public_name_and_port_are_taken_over() {
        assert_eq!(address(&[]).unwrap(), "127.0.0.1:7443");
        let named = |public| address(&["--public", public]).unwrap();
        assert_eq!(named("relay.example.org"), "relay.example.org:7443");
        assert_eq!(named("relay.example.org:443"), "relay.example.org:443");
        assert_eq!(named("::1"), "[::1]:7443");
        assert_eq!(named("[::1]:443"), "[::1]:443");
        assert!(address(&["--public", "relay.example.org:https"]).is_err());
    }
}
