//! A page that says what went wrong, in the look of all others.

use askama::Template;

use super::headline::Favicon;
use super::shell::Shell;
use super::{Ctx, ErrorPage};

#[derive(Template)]
#[template(path = "error.html")]
struct Page<'a> {
    shell: Shell<'a>,
    page: &'a ErrorPage<'a>,
}

/// From this status on it is us who failed, and asking again may help.
const SERVER_ERROR: u16 = 500;

pub(super) fn render(ctx: &Ctx<'_>, page: &ErrorPage<'_>) -> Result<String, askama::Error> {
    let mut shell = Shell::new(ctx, page.title, Favicon::Grey);
    shell.loading = page.status >= SERVER_ERROR;
    // That the aggregator is away is what this page says itself; it shows nothing old.
    shell.dated = None;
    Page { shell, page }.render()
}
