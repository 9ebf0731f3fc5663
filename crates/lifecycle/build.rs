//! Notes the commit that is being built, for `--version`.

use std::process::Command;

fn main() {
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
        String::from_utf8(out.stdout).ok().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty())
    };
    // Packagers build from an archive and say it themselves.
    println!("cargo:rerun-if-env-changed=CI_DASHBOARD_COMMIT");
    let commit =
        std::env::var("CI_DASHBOARD_COMMIT").ok().or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!("cargo:rustc-env=CI_DASHBOARD_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(file) =
            git(&["rev-parse", "--git-path", path]).filter(|f| std::path::Path::new(f).exists())
        {
            println!("cargo:rerun-if-changed={file}");
        }
    }
}
