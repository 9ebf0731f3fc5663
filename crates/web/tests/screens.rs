//! Every state that a page can be in, drawn from made-up answers and written to a folder. What a browser sees of them is
//! checked by `tests/browser` (its README says how); here is what can be told from the text.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small made-up figures"
)]

#[path = "screens/kit.rs"]
mod kit;
#[path = "screens/overview.rs"]
mod overview;
#[path = "screens/details.rs"]
mod details;

use std::path::{Path, PathBuf};

fn all() -> Vec<(&'static str, String)> {
    let mut all = overview::all();
    all.extend(details::all());
    all
}

/// Where `tests/browser` finds the pages.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("screens")
}

#[test]
fn every_state_is_written() {
    let folder = folder();
    std::fs::create_dir_all(&folder).unwrap();
    for (name, html) in all() {
        assert!(html.starts_with("<!doctype html>"), "{name}");
        assert!(html.trim_end().ends_with("</html>"), "{name}");
        std::fs::write(folder.join(format!("{name}.html")), html).unwrap();
    }
}
