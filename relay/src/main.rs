//! The program `restante-relay`: reads its settings, runs a relay, stops when told to.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use restante_relay::{Cli, Command, Error, Relay, Serve};
use tokio::signal::unix::{SignalKind, signal};
use tracing::error;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let command = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli.command,
        Err(Error::Usage(usage)) => usage.exit(),
        Err(error) => return fail(&error),
    };
    match command {
        Command::Serve(serve) => run(&serve),
        Command::Check(serve) => look(&serve),
        Command::Stats(serve) => match restante_relay::stats(&serve) {
            Ok(text) => print(text.as_bytes()),
            Err(error) => fail(&error),
        },
        Command::Drain(serve) => match restante_relay::drain(&serve) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
        Command::Backup(with) => tell(restante_relay::backup(&with.serve, &with.file)),
        Command::Verify { file } => tell(restante_relay::verify(&file)),
        Command::Restore(with) => tell(restante_relay::restore(&with.serve, &with.file)),
        Command::Invite(what) => match restante_relay::invite(&what) {
            Ok(text) => print(text.as_bytes()),
            Err(error) => fail(&error),
        },
        Command::Config => print(restante_relay::template().as_bytes()),
        Command::Man => restante_relay::manual().map_or(ExitCode::FAILURE, |page| print(&page)),
    }
}

/// Runs a relay until it is told to stop.
fn run(serve: &Serve) -> ExitCode {
    let filter = EnvFilter::try_new(&serve.log).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // It would say on stderr, which is what cannot be written, that it cannot, and panic.
        .log_internal_errors(false)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = runtime.map_err(Error::from_system).and_then(|runtime| {
        let served = runtime.block_on(serve_until_told(serve));
        // What was worth waiting for has been waited for.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve_until_told(serve: &Serve) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::from_system)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::from_system)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Error::from_system)?;
    let relay = Relay::start(serve).await?;
    print_address(&relay.address().to_string());
    let failed = loop {
        tokio::select! {
            _ = terminate.recv() => break false,
            _ = interrupt.recv() => break false,
            _ = hangup.recv() => relay.reload(),
            () = relay.told_to_stop() => break false,
            () = relay.failed() => break true,
        }
    };
    relay.stop().await?;
    if failed { Err(Error::PartFailed) } else { Ok(()) }
}

/// One line for programs; for a person also a QR code.
fn print_address(address: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading: the relay serves all the same.
    let _ = writeln!(out, "{address}");
    if out.is_terminal()
        && let Ok(code) = qrcode::QrCode::new(address)
    {
        let picture = code.render::<qrcode::render::unicode::Dense1x2>().build();
        let _ = writeln!(out, "{picture}");
    }
    let _ = out.flush();
}

/// Says of each thing a relay needs whether it is well.
fn look(serve: &Serve) -> ExitCode {
    let findings = restante_relay::check(serve);
    let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    let printed = print(lines.as_bytes());
    if findings.iter().all(restante_relay::Finding::is_ok) { printed } else { ExitCode::FAILURE }
}

/// Says in a line what has been done, or why not.
fn tell(done: Result<String, Error>) -> ExitCode {
    match done {
        Ok(text) => print(format!("{text}\n").as_bytes()),
        Err(error) => fail(&error),
    }
}

/// Prints what was asked for.
fn print(text: &[u8]) -> ExitCode {
    match std::io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says on stderr why not.
fn fail(error: &Error) -> ExitCode {
    // Without stderr the exit code says it alone.
    let _ = writeln!(std::io::stderr(), "restante-relay: {error}");
    ExitCode::FAILURE
}
