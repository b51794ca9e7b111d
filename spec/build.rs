//! Generates the wire types from `proto/` at build time: protox reads, prost writes, no protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/wire.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    // Content and archives hold secrets, and only a `Vec` can be wiped.
    for content in ["proto/content.proto", "proto/group.proto", "proto/archive.proto"] {
        let descriptors = protox::compile([content], ["proto"])?;
        prost_build::Config::new().compile_fds(descriptors)?;
    }
    Ok(())
}
