//! The configuration file: TOML below the environment and the flags, and the template of one.
//!
//! The values of the file become the defaults of the flags of the same names, so that they are
//! checked as flags are, and flags and environment win by themselves.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, CommandFactory, FromArgMatches};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::config::{Cli, Command, Serve};
use crate::error::Error;

/// How a file explains itself.
const HEAD: &str = "\
# Settings of restante-relay, each with its default. A key `some_key` is also the flag --some-key
# and the variable RESTANTE_SOME_KEY: flags win over variables, and these over this file.
";

/// The flag that names the file, which the file cannot name.
const CONFIG: &str = "config";

impl Cli {
    /// Reads command line, environment, and the configuration file that these name.
    ///
    /// # Errors
    /// [`Error::Usage`] for what was asked on the command line or by the environment,
    /// [`Error::File`] and [`Error::Config`] for the file.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, Error> {
        let args: Vec<OsString> = args.into_iter().collect();
        let cli = Self::from_arg_matches(&Self::command().try_get_matches_from(&args)?)?;
        let Some(path) = cli.command.serve().and_then(|serve| serve.config.as_deref()) else {
            return Ok(cli);
        };
        let values = read(path)?;
        let command = with_defaults(Self::command(), &values);
        Ok(Self::from_arg_matches(&command.try_get_matches_from(args)?)?)
    }
}

/// The command and those below it, with these values for the flags of these names.
fn with_defaults(command: clap::Command, values: &[(String, String)]) -> clap::Command {
    let command = values.iter().fold(command, |command, (name, value)| {
        if command.get_arguments().any(|arg| arg.get_id() == name.as_str()) {
            command.mut_arg(name, |arg| arg.default_value(value.clone()))
        } else {
            command
        }
    });
    command.mut_subcommands(|command| with_defaults(command, values))
}

impl Command {
    /// The settings of a command that has any.
    fn serve(&self) -> Option<&Serve> {
        match self {
            Self::Serve(serve) | Self::Check(serve) | Self::Stats(serve) | Self::Drain(serve) => {
                Some(serve)
            }
            Self::Backup(with) | Self::Restore(with) => Some(&with.serve),
            Self::Invite(invite) => Some(invite.serve()),
            Self::Verify { .. } | Self::Config | Self::Man => None,
        }
    }
}

/// A configuration file with every key, what it does, and its default, all commented out.
#[must_use]
pub fn template() -> String {
    let mut text = HEAD.to_owned();
    for arg in settings() {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let value = match arg.get_default_values() {
            [value, ..] => value.to_string_lossy().into_owned(),
            [] => arg.get_value_names().unwrap_or_default().join(" "),
        };
        let value = if value.parse::<u64>().is_ok() { value } else { format!("{value:?}") };
        text.push_str(&format!("\n# {help}.\n#{} = {value}\n", arg.get_id()));
    }
    text
}

/// What a file may set.
fn settings() -> Vec<Arg> {
    let command = <Serve as clap::Args>::augment_args(clap::Command::new("serve"));
    command.get_arguments().filter(|arg| arg.get_id() != CONFIG).cloned().collect()
}

/// The keys of a file and their values, each checked as its flag would be.
fn read(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::File { path: path.to_owned(), error })?;
    check(&text).map_err(|(at, what)| {
        let line = text.get(..at).unwrap_or(&text).matches('\n').count() + 1;
        Error::Config { path: path.to_owned(), line, what }
    })
}

/// The same of a text; what is wrong comes with its place, in bytes.
fn check(text: &str) -> Result<Vec<(String, String)>, (usize, String)> {
    let table = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    let settings = settings();
    let mut values = Vec::new();
    for (key, value) in table.get_ref() {
        let name = key.get_ref().as_ref();
        let wrong = |what: String| (key.span().start, format!("`{name}` {what}"));
        let Some(arg) = settings.iter().find(|arg| arg.get_id() == name) else {
            return Err(wrong("is no key, see restante-relay config".to_owned()));
        };
        let value = scalar(value).ok_or_else(|| wrong("takes a text or a number".to_owned()))?;
        check_value(arg, &value).map_err(wrong)?;
        values.push((name.to_owned(), value));
    }
    Ok(values)
}

/// A text or a number as its flag would have it.
fn scalar(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string())
        }
        _ => None,
    }
}

/// Whether the flag takes this value.
fn check_value(arg: &Arg, value: &str) -> Result<(), String> {
    let flag = format!("--{}={value}", arg.get_long().unwrap_or_default());
    // Only this flag, without its variable: the value is judged by itself.
    let alone = clap::Command::new("file").arg(arg.clone());
    match alone.try_get_matches_from(["file", &flag]) {
        Ok(_) => Ok(()),
        Err(error) => Err(match std::error::Error::source(&error) {
            Some(cause) => format!("cannot be {value:?}: {cause}"),
            None => format!("cannot be {value:?}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings that `serve` has with this file.
    fn with_file(text: &str) -> Result<Serve, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut serve = serve(&["--config", file.path().to_str().unwrap()])?;
        serve.config = None;
        Ok(serve)
    }

    fn serve(flags: &[&str]) -> Result<Serve, Error> {
        let words = ["restante-relay", "serve"].iter().chain(flags).map(OsString::from);
        match Cli::read(words)?.command {
            Command::Serve(serve) => Ok(*serve),
            other => panic!("another command: {other:?}"),
        }
    }

    /// Everything that is made of the settings.
    fn built(serve: &Serve) -> String {
        let Serve { listen, public, metrics_listen, log, .. } = serve;
        let data = serve.data_dir().unwrap();
        let tls = serve.certificate_files().map_err(|error| error.to_string());
        let blobs = (serve.blobs().map_err(|error| error.to_string()), serve.blob_bytes);
        let bounds = (serve.gateway(), serve.mailbox(), serve.buffer());
        format!("{:#?}", (data, listen, public, metrics_listen, tls, log, blobs, bounds))
    }

    #[test]
    fn the_template_is_the_defaults() {
        let defaults = serve(&[]).unwrap();
        assert_eq!(format!("{:?}", with_file(&template()).unwrap()), format!("{defaults:?}"));
        let mut set = template();
        for arg in settings().iter().filter(|arg| !arg.get_default_values().is_empty()) {
            let (key, before) = (format!("\n{} = ", arg.get_id()), set.len());
            set = set.replace(&format!("\n#{} = ", arg.get_id()), &key);
            assert_eq!(set.len() + 1, before, "{key} is in the template");
        }
        assert_eq!(format!("{:?}", with_file(&set).unwrap()), format!("{defaults:?}"));
    }

    /// No knob without an effect; and each has the one name in its three forms.
    #[test]
    fn every_key_changes_what_is_built() {
        let changes = [
            ("data", "'/elsewhere'"),
            ("listen", "'[::1]:7000'"),
            ("public", "'relay.example.org'"),
            ("metrics_listen", "'127.0.0.1:9443'"),
            ("tls_cert", "'cert.pem'"),
            ("tls_key", "'key.pem'"),
            ("operator_text", "'run by the reading circle'"),
            ("contact", "'mailto:post@example.org'"),
            ("source", "'https://example.org/source'"),
            ("log", "'warn'"),
            ("connections", "7"),
            ("connections_per_prefix", "7"),
            ("handshakes", "7"),
            ("connects_per_minute", "7"),
            ("failures_per_minute", "7"),
            ("creates_per_minute", "7"),
            ("held_mib", "7"),
            ("mailboxes", "0"),
            ("envelopes", "7"),
            ("mailbox_entries", "1_000"),
            ("mailbox_bytes", "0x20_0000"),
            ("ttl", "7"),
            ("blobs", "'s3://bucket/prefix'"),
            ("blob_bytes", "0"),
            ("s3_endpoint", "'https://s3.example.org'"),
            ("s3_region", "'elsewhere'"),
            ("s3_credentials", "'s3.key'"),
            ("admission", "'token'"),
            ("disk_reserve_mib", "7"),
            ("cache_mib", "7"),
            ("hold_ms", "7"),
        ];
        let defaults = built(&serve(&[]).unwrap());
        for (key, value) in changes {
            let changed = built(&with_file(&format!("{key} = {value}")).unwrap());
            assert_ne!(changed, defaults, "{key} has no effect");
        }
        let settings = settings();
        let known: Vec<&str> = settings.iter().map(|arg| arg.get_id().as_str()).collect();
        assert_eq!(changes.map(|(key, _)| key)[..], known);
        for arg in settings {
            let key = arg.get_id().as_str();
            assert_eq!(arg.get_long().unwrap(), key.replace('_', "-"));
            let variable = format!("RESTANTE_{}", key.to_uppercase());
            assert_eq!(arg.get_env().unwrap().to_str(), Some(variable.as_str()));
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "handshakes = 7\nconnections = 8").unwrap();
        let path = file.path().to_str().unwrap();
        let serve = serve(&["--handshakes", "9", "--config", path]).unwrap();
        assert_eq!((serve.handshakes, serve.connections), (9, 8));
    }

    #[test]
    fn what_is_wrong_is_named_with_key_and_line() {
        let cases = [
            ("\nlog = 'warn'\nlsten = '[::1]:1'", 3, "`lsten` is no key"),
            ("config = 'other.toml'", 1, "`config` is no key"),
            ("[relay]\nlisten = '[::1]:1'", 1, "`relay` is no key"),
            ("# none\nlisten = 'somewhere'", 2, "`listen` cannot be \"somewhere\""),
            ("listen = ['[::1]:1']", 1, "`listen` takes a text or a number"),
            ("mailbox_entries = 64", 1, "64 is not in 65..=10000"),
            ("connections = 50_001", 1, "50001 is not in 1..=50000"),
            ("log = 'restante=loud'", 1, "`log` cannot be"),
            ("\n\nlisten == 1", 3, ""),
            ("log = 'info'\nlog = 'warn'", 2, "duplicate key"),
        ];
        for (text, at, says) in cases {
            match with_file(text) {
                Err(Error::Config { line, what, .. }) => {
                    assert!(what.contains(says), "{text:?}: {what}");
                    assert_eq!(line, at, "{text:?}: {what}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = serve(&["--config", "/nowhere/relay.toml"]).unwrap_err();
        assert!(error.to_string().contains("/nowhere/relay.toml"), "{error}");
    }
}
