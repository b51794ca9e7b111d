//! The program `restante`: private messages through a relay that forgets, from a terminal.
//!
//! ```text
//!  args --> main --> commands/* --> desk (account, network) --> restante-client
//!                        |
//!                        +--> output --> text | json
//! ```
//!
//! Knows how a process begins and ends; what a command does is in `commands/`.

mod args;
mod changes;
mod chat;
mod commands;
mod desk;
mod durations;
mod failure;
mod home;
mod json;
mod limits;
mod names;
mod output;
mod text;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::Output;

/// The command line does not say what to do.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, words.iter().any(|word| word == "--json")),
    };
    let out = Output::new(cli.common.json);
    match run(cli, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, out: Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("system", format!("the system refused: {error}")))?;
    let done = runtime.block_on(commands::run(cli, out));
    // A thread may still wait for a line of stdin.
    runtime.shutdown_background();
    done
}

/// Says what is wrong with the command line, or what was asked about it.
fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if json && error.use_stderr() {
        let text = error.to_string();
        let text = text.trim_end().strip_prefix("error: ").unwrap_or(text.trim_end());
        Output::new(true).failure(&Failure::new("usage", text));
    } else {
        // Where nobody reads there is nobody to tell.
        let _ = error.print();
    }
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}
