//! What can be said about the recovery file.

use std::path::PathBuf;

use clap::Subcommand;

/// What to do with a recovery file.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// On your first device: writes everything you have into an encrypted file, and shows the 24
    /// words that open it, once.
    Create {
        /// The file; it must not be there yet.
        file: PathBuf,
        /// Encrypted with a passphrase instead, which is read from stdin.
        #[arg(long)]
        passphrase: bool,
    },
    /// Makes a new device of the account in such a file, in an empty home. The words or the
    /// passphrase are read from stdin.
    Restore {
        /// The file.
        file: PathBuf,
    },
}
