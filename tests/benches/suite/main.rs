//! The benches: what a load costs, beside what the machine could do at best, in one run.
//!
//! `tests/benches/run [W2] [micro] [--quick]`. Counts and ratios to the raw log of the same run are
//! the figures to trust; rates depend on the machine's mood.

mod conversation;
mod letter;
mod micro;
mod process;
mod rawlog;
mod report;
mod w2;

use report::Report;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let quick = words.iter().any(|word| word == "--quick");
    let named: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let runs = |name: &str| named.is_empty() || named.iter().any(|word| word.as_str() == name);
    if let Some(unknown) = named.iter().find(|word| !["W2", "micro"].contains(&word.as_str())) {
        eprintln!("no bench {unknown}: there are W2 and micro");
        std::process::exit(2);
    }
    let mut report = Report::default();
    if runs("W2") {
        w2::run(quick, &mut report).await;
    }
    if runs("micro") {
        micro::run(quick, &mut report);
        conversation::run(quick, &mut report);
    }
    report.print();
    report.write();
}
