//! The way in: the form to sign in, and what those are told who have not. Nothing here names what is configured.

use askama::Template;

use super::{ErrorPage, SignIn};

/// What stands around: the site's title and nothing else.
#[derive(Debug)]
struct Plain<'a> {
    base: &'a str,
    site: &'a str,
    title: &'a str,
}

impl Plain<'_> {
    fn asset(&self, name: &str) -> String {
        format!("{}{}", self.base, crate::assets::url(name))
    }
}

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage<'a> {
    plain: Plain<'a>,
    shown: &'a SignIn<'a>,
}

pub(super) fn sign_in(base: &str, site: &str, shown: &SignIn<'_>) -> Result<String, askama::Error> {
    let title = "Sign in";
    SignInPage { plain: Plain { base, site, title }, shown }.render()
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refusal<'a> {
    plain: Plain<'a>,
    page: &'a ErrorPage<'a>,
}

pub(super) fn refusal(base: &str, site: &str, page: &ErrorPage<'_>) -> Result<String, askama::Error> {
    Refusal { plain: Plain { base, site, title: page.title }, page }.render()
}
