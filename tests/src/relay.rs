//! A relay for a test: inside this process, or as the real program that can be killed.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use clap::Parser;
use restante_relay::{Cli, Relay, Serve};
use restante_spec::address::RelayAddress;
use tempfile::TempDir;

/// A relay in this process, with a directory of its own.
pub struct InProcess {
    relay: Relay,
    _data: TempDir,
}

impl InProcess {
    /// Starts with the defaults and these flags.
    pub async fn start(flags: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let relay = Relay::start(&serve(data.path(), flags)).await.expect("started");
        Self { relay, _data: data }
    }

    /// Where clients connect.
    pub fn address(&self) -> &RelayAddress {
        self.relay.address()
    }

    /// Where its metrics are; it was started with `--metrics-listen`.
    pub fn metrics(&self) -> SocketAddr {
        self.relay.metrics().expect("started with metrics")
    }

    /// Stops it as SIGTERM does.
    pub async fn stop(self) {
        self.relay.stop().await.expect("stopped");
    }
}

/// The settings of `serve` with these flags, on a port the system chooses.
pub fn serve(data: &Path, flags: &[&str]) -> Serve {
    let data = data.to_str().expect("a path in UTF-8");
    let base = ["restante-relay", "serve", "--data", data, "--listen", "127.0.0.1:0"];
    match Cli::parse_from(base.iter().chain(flags)).command {
        restante_relay::Command::Serve(serve) => *serve,
        other => panic!("another command: {other:?}"),
    }
}

/// The program, running.
pub struct Process {
    child: Child,
    address: RelayAddress,
}

impl Process {
    /// Starts it on `data`; logs go to `log`.
    pub fn start(data: &Path, listen: &str, log: &Path) -> Self {
        Self::start_with(data, log, |command| {
            command.args(["--listen", listen]);
        })
    }

    /// Starts it with flags or variables that `set` adds.
    pub fn start_with(data: &Path, log: &Path, set: impl FnOnce(&mut Command)) -> Self {
        Self::try_start_with(data, log, set).expect("it starts")
    }

    /// Starts it on `data`, or says how it has ended and what it complained of.
    ///
    /// # Errors
    /// Its exit code and the end of its log.
    pub fn try_start(data: &Path, log: &Path) -> Result<Self, (Option<i32>, String)> {
        Self::try_start_with(data, log, |command| {
            command.args(["--listen", "127.0.0.1:0"]);
        })
    }

    /// The same with settings of its own.
    ///
    /// # Errors
    /// Its exit code and the end of its log.
    pub fn try_start_with(
        data: &Path,
        log_path: &Path,
        set: impl FnOnce(&mut Command),
    ) -> Result<Self, (Option<i32>, String)> {
        let log = std::fs::File::options().create(true).append(true).open(log_path).expect("a log");
        let mut command = Command::new(program("restante-relay"));
        command.args(["serve", "--log", "debug", "--data"]).arg(data);
        set(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the relay's program starts");
        let stdout = child.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("its address");
        if line.is_empty() {
            let code = child.wait().expect("gone").code();
            let said = std::fs::read_to_string(log_path).expect("a log");
            return Err((code, said.lines().last().unwrap_or_default().to_owned()));
        }
        let address = line.trim().parse().unwrap_or_else(|error| {
            panic!("no address but {line:?}: {error}");
        });
        Ok(Self { child, address })
    }

    /// Where clients connect.
    pub fn address(&self) -> &RelayAddress {
        &self.address
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Sends a signal, such as HUP.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-s", name, &pid]).status().expect("kill");
    }

    /// SIGTERM; its exit code.
    pub fn terminate(self) -> Option<i32> {
        self.signal("TERM");
        self.ended()
    }

    /// Waits until it has ended by itself; its exit code.
    pub fn ended(mut self) -> Option<i32> {
        self.child.wait().expect("gone").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that fails leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the relay's program to its end: whether it ended well, and all it said.
pub fn run(words: &[&str]) -> (bool, String) {
    let output = Command::new(program("restante-relay")).args(words).output().expect("it runs");
    let all = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(all).expect("text"))
}

/// What the relay that runs on `data` counts, by the names of its metrics; those with labels are
/// summed up.
pub fn stats(data: &Path) -> HashMap<String, u64> {
    let mut socket = UnixStream::connect(data.join("admin.sock")).expect("the admin socket");
    socket.write_all(b"stats\n").expect("asked");
    let mut text = String::new();
    socket.read_to_string(&mut text).expect("answered");
    let mut counts = HashMap::new();
    for line in text.lines().filter(|line| line.starts_with("restante_")) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        let name = name.split('{').next().expect("a name");
        *counts.entry(name.to_owned()).or_default() += value.parse::<u64>().expect("a number");
    }
    counts
}

/// The path of one of the relay's programs, built now from the sources as they are.
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(&["--package", "restante-relay", "--bins"]));
    found(name, built)
}

/// The path of the app or of an example, built as all of the workspace is for its tests.
pub fn client_program(name: &str) -> PathBuf {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let what = ["--workspace", "--bin", "restante", "--examples"];
    found(name, BUILT.get_or_init(|| build(&what)))
}

fn found(name: &str, built: &[PathBuf]) -> PathBuf {
    let found = built.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
    found.unwrap_or_else(|| panic!("no program {name} among {built:?}")).clone()
}

/// Builds programs as cargo would for a person, and asks cargo where they are.
fn build(what: &[&str]) -> Vec<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--locked", "--message-format=json"])
        .args(what)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the programs do not build");
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    messages.filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?))).collect()
}
