//! `backup ...`: everything into one file for a drawer, and out of it again.
//!
//! Words and passphrases are read from stdin and shown on stdout, and stand nowhere else.

use std::io::{BufRead, Read, stdin};
use std::path::Path;

use restante_client::{RecoveryKind, RecoverySecret, recovery_kind};
use zeroize::Zeroizing;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::home::Home;
use crate::json::{BackupLine, RestoredLine};
use crate::limits::PASSPHRASE_BYTES;
use crate::output::Output;

/// Writes the file.
pub(super) async fn create(
    file: &Path,
    with_passphrase: bool,
    desk: &mut Desk,
) -> Result<(), Failure> {
    if file.try_exists().unwrap_or(true) {
        return Err(Failure::new("file_exists", "there is a file of this name; name another"));
    }
    desk.try_collect().await;
    let secret = if with_passphrase {
        desk.out.ask("Passphrase for the file: ");
        RecoverySecret::from_passphrase(&read_line()?)
    } else {
        RecoverySecret::new_words()?
    };
    let words = secret.words()?;
    let messages = desk.client.write_recovery(file, secret).await?;
    let (path, words) = (file.display().to_string(), words.as_ref().map(|words| words.as_str()));
    desk.out.object(&BackupLine { file: &path, messages, words });
    desk.out.say(&format!("{path} has everything up to now, with {messages} messages."));
    desk.out.say(&match words {
        Some(words) => format!(
            "These words open it. Write them down and keep them apart from the file; they are\n\
             shown this once:\n\n{words}"
        ),
        None => "Your passphrase opens it, and nothing else.".to_owned(),
    });
    Ok(())
}

/// Makes a home of it.
pub(super) async fn restore(
    file: &Path,
    home: &Home,
    offline: bool,
    out: Output,
) -> Result<(), Failure> {
    let secret = match recovery_kind(file)? {
        RecoveryKind::Words => {
            out.ask("The 24 words: ");
            RecoverySecret::from_words(&read_line()?)?
        }
        RecoveryKind::Passphrase => {
            out.ask("Passphrase of the file: ");
            RecoverySecret::from_passphrase(&read_line()?)
        }
    };
    let (client, _) = home.restore(file, &secret)?;
    let mut desk = Desk::start(client, out, offline)?;
    let account = desk.client.own_id().await?.to_string();
    let name = desk.client.nickname().await?;
    let contacts = desk.client.contacts().await?.len();
    let told = desk.collect().await;
    desk.client.shutdown().await?;
    out.object(&RestoredLine { account, name: &name, contacts });
    let known = if contacts == 1 { "1 contact" } else { &format!("{contacts} contacts") };
    out.say(&format!("You are {name} again, on a new device, with {known}."));
    out.say(
        "What was said can be read. This device asks to be let into your conversations again when\n\
         you run restante sync: each goes on when a device of yours answers, or somebody in it\n\
         has agreed, with restante readmit. Tell them by another way that it is you.\n\
         Lost devices: restante device list, restante device remove NUMBER",
    );
    if let Err(failure) = told {
        out.warn(&format!("{}; restante sync tells your relay later", failure.text));
    }
    Ok(())
}

/// A line of stdin.
fn read_line() -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::new());
    let read = stdin().lock().take(PASSPHRASE_BYTES).read_line(&mut line);
    read.map_err(|error| Failure::new("stdin", format!("stdin cannot be read: {error}")))?;
    let line = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
    if line.is_empty() {
        return Err(Failure::new("no_secret", "nothing was typed; it is read from stdin"));
    }
    Ok(line)
}
