//! Compiles the contract. protox reads the `.proto` files, so that no `protoc` has to be there.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = ["dashboard", "stats", "preferences"].map(|name| format!("ci_dashboard/v1/{name}.proto"));
    let files = protox::compile(files, [&root])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptor.bin"), prost::Message::encode_to_vec(&files))?;
    // A webhook's body may be large: passed on without another copy.
    tonic_prost_build::configure()
        .build_transport(true)
        .bytes(".ci_dashboard.v1.IngestWebhookRequest")
        .compile_fds(files)?;
    Ok(())
}
