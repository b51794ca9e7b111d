//! The relay's released program under load, and what it has used of the machine.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use restante_spec::address::RelayAddress;

/// A running relay.
pub struct Server {
    child: Child,
    /// Where clients connect.
    pub address: RelayAddress,
}

/// What a process has used since it began.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// CPU seconds, its own and the kernel's for it.
    pub cpu_s: f64,
    /// Bytes it made the disk write.
    pub written: f64,
    /// Its memory, bytes.
    pub rss: f64,
}

impl Server {
    /// Starts the released build, with as many connections from here as the bench needs.
    pub fn start(data: &Path) -> Self {
        Self::spawn(data, "warn", Stdio::inherit())
    }

    /// The same, with what it says in a file.
    pub fn start_logging(data: &Path, log: &Path) -> Self {
        Self::spawn(data, "info", File::create(log).expect("a log").into())
    }

    fn spawn(data: &Path, level: &str, log: Stdio) -> Self {
        let mut child = Command::new(program())
            .args(["serve", "--listen", "127.0.0.1:0", "--log", level])
            .args(["--connections-per-prefix", "50000", "--connects-per-minute", "1000000"])
            .args(["--creates-per-minute", "1000000", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the released relay, built by tests/benches/run");
        let stdout = child.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("its address");
        let address = line.trim().parse().expect("an address");
        Self { child, address }
    }

    /// Starts this program again, as one of the servers in `bare.rs`; its address is one that no
    /// client of ours would take.
    pub fn bare(role: &str) -> (Self, u16) {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--role", role])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again");
        let stdout = child.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("its port");
        let port = line.trim().parse().expect("a port");
        let nobody = restante_spec::ids::PublicKey::new([0; 32]);
        let address = RelayAddress::new(nobody, "127.0.0.1", port).expect("an address");
        (Self { child, address }, port)
    }

    /// Kills it and waits until it is gone; its data stays.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let stat = std::fs::read_to_string(proc.join("stat")).expect("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        // Fields 14 and 15 of proc(5), in ticks of 10 ms.
        let field = |n: usize| fields[n - 3].parse::<f64>().expect("a number");
        Usage {
            cpu_s: (field(14) + field(15)) / 100.0,
            written: written(&proc),
            // Field 24, in pages of 4 KiB.
            rss: field(24) * 4_096.0,
        }
    }
}

/// Bytes this process has made the disk write so far.
pub fn written_by_this() -> f64 {
    written(Path::new("/proc/self"))
}

/// Bytes this process has asked the system for so far, whether they came from the disk or not.
pub fn read_by_this() -> f64 {
    io(Path::new("/proc/self"), "rchar: ")
}

/// CPU this thread has used, us. The kernel adds up when it looks at the thread, so it is made to.
pub fn cpu_us() -> f64 {
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux' count");
    let ns = told.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok());
    ns.expect("nanoseconds") / 1e3
}

fn written(proc: &Path) -> f64 {
    io(proc, "write_bytes: ")
}

fn io(proc: &Path, name: &str) -> f64 {
    let io = std::fs::read_to_string(proc.join("io")).expect("io");
    let count = io.lines().find_map(|line| line.strip_prefix(name));
    count.and_then(|text| text.parse().ok()).expect("a count")
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killed, not stopped: what counts was measured before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    target.join("release/restante-relay")
}
