//! What was measured: a table for people, JSON lines for programs.

use std::io::Write;
use std::path::PathBuf;

/// All figures of a run.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
}

struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    target: Option<&'static str>,
}

impl Report {
    /// Notes a figure, with its target where the project has set one.
    pub fn note(
        &mut self,
        name: &str,
        value: f64,
        unit: &'static str,
        target: Option<&'static str>,
    ) {
        self.figures.push(Figure { name: name.to_owned(), value, unit, target });
    }

    /// The table.
    pub fn print(&self) {
        println!("\n{:<44} {:>14} {:<14} target", "figure", "value", "unit");
        for Figure { name, value, unit, target } in &self.figures {
            println!("{name:<44} {value:>14.3} {unit:<14} {}", target.unwrap_or("-"));
        }
    }

    /// The lines, in `target/bench.jsonl`.
    pub fn write(&self) {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
        std::fs::create_dir_all(&target).expect("a target folder");
        let path = target.join("bench.jsonl");
        let mut file = std::fs::File::create(&path).expect("the file of results");
        for Figure { name, value, unit, .. } in &self.figures {
            let line = serde_json::json!({ "name": name, "value": value, "unit": unit });
            writeln!(file, "{line}").expect("written");
        }
        println!("\nJSON lines: {}", path.display());
    }
}

/// The middle of some measurements.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
