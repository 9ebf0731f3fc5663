//! Tells the program which commit it was built from.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    // A file that is new in the folder has to be embedded as well.
    println!("cargo:rerun-if-changed=static");
    println!("cargo:rerun-if-changed=templates");
    println!("cargo:rerun-if-env-changed=CI_DASHBOARD_COMMIT");
    // A build from an archive or in a container has no git and says the commit itself.
    let commit = std::env::var("CI_DASHBOARD_COMMIT")
        .ok()
        .filter(|c| !c.trim().is_empty())
        .or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    for path in watched() {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    println!("cargo:rustc-env=COMMIT={}", commit.as_deref().map_or("unknown", str::trim));
}

/// What changes when HEAD moves: HEAD itself when another branch is checked out, its log or the branch's file on a
/// commit. Only what is there: a path that is missing would make every build a new one.
fn watched() -> Vec<PathBuf> {
    let path =
        |name: &str| git(&["rev-parse", "--path-format=absolute", "--git-path", name]).map(PathBuf::from);
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    ["HEAD", "logs/HEAD", "packed-refs"]
        .into_iter()
        .chain(branch.as_deref())
        .filter_map(path)
        .filter(|p| Path::exists(p))
        .collect()
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}
