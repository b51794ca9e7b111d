//! Writes the vectors of this crate into `spec/vectors/`, always the same:
//! `cargo run -p restante-crypto --features vectors --example vectors`.
//!
//! One file is one case, and each changed case begins from a good one. The vectors of the frames
//! belong to `restante-spec`.

mod cases;
mod files;
mod letters;
mod proofs;
mod records;
mod recovery;
mod rooms;

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors");
    let mut cases = proofs::cases()?;
    cases.extend(letters::cases()?);
    cases.extend(records::cases()?);
    cases.extend(rooms::cases()?);
    cases.extend(files::cases()?);
    cases.extend(recovery::cases()?);
    let groups = [
        "endorsement",
        "open",
        "letter",
        "record",
        "live",
        "padding",
        "safety",
        "room",
        "file",
        "recovery",
    ];
    for group in groups {
        let folder = root.join(group);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
    }
    for case in &cases {
        std::fs::write(root.join(case.group).join(format!("{}.txt", case.name)), case.text())?;
    }
    println!("{} cases", cases.len());
    Ok(())
}
