//! The benches: what a load costs, beside what the machine could do at best, in one run.
//!
//! `tests/benches/run [W1 W2 W3 W4 W5 store micro groups history] [--quick]`.
//! Counts, and ratios to a denominator of the same run, are the figures to trust; rates depend on
//! the machine's mood.

mod bare;
mod conversation;
mod groups;
mod history;
mod letter;
mod micro;
mod process;
mod rawlog;
mod report;
mod store;
mod w1;
mod w2;
mod w3;
mod w4;
mod w5;

use report::Report;

/// What there is.
const BENCHES: [&str; 9] = ["W1", "W2", "W3", "W4", "W5", "store", "micro", "groups", "history"];

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [role, name] = words.as_slice()
        && role == "--role"
    {
        return bare::serve(name).await;
    }
    let quick = words.iter().any(|word| word == "--quick");
    let named: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let runs = |name: &str| named.is_empty() || named.iter().any(|word| word.as_str() == name);
    if let Some(unknown) = named.iter().find(|word| !BENCHES.contains(&word.as_str())) {
        eprintln!("no bench {unknown}: there are {}", BENCHES.join(", "));
        std::process::exit(2);
    }
    let mut report = Report::default();
    if runs("W1") {
        w1::run(quick, &mut report).await;
    }
    if runs("W2") {
        w2::run(quick, &mut report).await;
    }
    if runs("W3") {
        w3::run(quick, &mut report).await;
    }
    if runs("W4") {
        w4::run(quick, &mut report).await;
    }
    if runs("W5") {
        w5::run(quick, &mut report).await;
    }
    if runs("store") {
        store::run(quick, &mut report);
    }
    if runs("micro") {
        micro::run(quick, &mut report);
        conversation::run(quick, &mut report);
    }
    if runs("groups") {
        groups::run(quick, &mut report);
    }
    if runs("history") {
        history::run(quick, &mut report);
    }
    report.print();
    report.write();
}
