//! The man page, made of the command line as it is.

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::config::Cli;

/// What a man page says beyond the flags: heading, then items.
const SECTIONS: [(&str, &[(&str, &str)]); 4] = [
    (
        "SIGNALS",
        &[
            (
                "SIGTERM, SIGINT",
                "Drains: connections are told to leave, what was accepted is durable.",
            ),
            ("SIGHUP", "Reads the certificate's files anew; connections stay as they are."),
        ],
    ),
    (
        "FILES",
        &[
            (
                "identity.key",
                "In the data directory: the key that the relay's address pins. Keep a copy.",
            ),
            ("tls.key", "In the data directory: the key of the relay's own certificate."),
            (
                "admin.sock",
                "In the data directory: where stats, drain, backup and invite ask a running relay.",
            ),
            ("buffer.redb", "In the data directory: mailboxes and the envelopes they hold."),
            (
                "buffer.keys",
                "In the data directory: the keys envelopes are sealed with until they expire.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "All is well."),
            ("1", "It could not start or go on, or check has found a problem."),
            ("2", "The command line is wrong."),
        ],
    ),
    (
        "EXAMPLES",
        &[
            ("restante-relay config > relay.toml", "Writes a configuration file to begin with."),
            ("restante-relay check --config relay.toml", "Says what would keep it from running."),
            ("restante-relay serve --config relay.toml", "Runs the relay."),
            (
                "restante-relay invite new --note NAME",
                "Makes a token that admits one account, where admission is by token.",
            ),
            (
                "restante-relay backup FILE",
                "Writes a backup of the running relay. It holds the identity key: keep it as such.",
            ),
            ("restante-relay restore FILE --data DIR", "Makes a data directory of it."),
        ],
    ),
];

/// The page `restante-relay(1)` in roff.
///
/// # Errors
/// None in practice: it writes to memory.
pub fn manual() -> std::io::Result<Vec<u8>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut page = Vec::new();
    let top = Man::new(command.clone()).manual("Restante");
    top.render_title(&mut page)?;
    top.render_name_section(&mut page)?;
    top.render_synopsis_section(&mut page)?;
    top.render_description_section(&mut page)?;
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    let about = commands.map(|command| {
        (command.get_name(), command.get_about().map(ToString::to_string).unwrap_or_default())
    });
    section("COMMANDS", about).to_writer(&mut page)?;
    if let Some(serve) = command.find_subcommand("serve") {
        Man::new(serve.clone()).render_options_section(&mut page)?;
    }
    for (heading, items) in SECTIONS {
        let items = items.iter().map(|(name, text)| (*name, (*text).to_owned()));
        section(heading, items).to_writer(&mut page)?;
    }
    top.render_version_section(&mut page)?;
    Ok(page)
}

fn section<'a>(heading: &str, items: impl Iterator<Item = (&'a str, String)>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    for (name, text) in items {
        let (name, text): (Inline, Inline) = (bold(name), roman(text));
        roff.control("TP", []).text([name]).text([text]);
    }
    roff
}
