//! The way in, and what pages say of who may look.

use web::pages::{self, Door, ErrorPage, ListQuery, SignIn};

use crate::kit::{answer, ctx, sources};
use crate::overview::company;

const SITE: &str = "CI Dashboard";

/// Every state, by name.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let form = |user, problem| SignIn::Form { user, next: "/projects/gitlab-main/123?branch=a%20b", problem };
    let sign_in = |base, shown: &SignIn<'_>| pages::sign_in(base, SITE, shown).unwrap();
    let refused = ErrorPage {
        status: 401,
        title: "Sign in first",
        text: "The reverse proxy did not say who you are.",
        hint: Some(
            "Open the address that the proxy has; whoever runs it has it send the header that auth.proxy names.",
        ),
        request_id: Some("6f1d2c9a40b75e8833c1a0de"),
    };
    let overview = |door| {
        let ctx = pages::Ctx { door, ..ctx() };
        pages::overview(&ctx, &ListQuery::default(), &answer(&company(12), sources())).unwrap()
    };
    vec![
        ("sign-in", sign_in("", &form("", None))),
        ("sign-in-again", sign_in("", &form("ada", Some("User name or password is wrong.")))),
        ("sign-in-below-a-path", sign_in("/ci", &form("", None))),
        ("sign-in-insecure", sign_in("", &SignIn::Insecure)),
        ("refused", pages::refusal("", SITE, &refused).unwrap()),
        ("overview-signed-in", overview(Door { sign_out: true, wide_open: false })),
        ("overview-wide-open", overview(Door { sign_out: false, wide_open: true })),
    ]
}

#[test]
fn the_form_says_what_a_browser_needs_to_fill_it_in() {
    let html =
        pages::sign_in("/ci", "A & B", &SignIn::Form { user: "a\"><b>", next: "/?q=<x>", problem: None })
            .unwrap();
    for part in [
        "<title>Sign in · A &#38; B</title>",
        "method=\"post\" action=\"/ci/sign-in\"",
        "autocomplete=\"username\"",
        "type=\"password\" autocomplete=\"current-password\"",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    assert!(!html.contains("<b>") && !html.contains("<x>"), "{html}");
    let again = SignIn::Form { user: "ada", next: "/", problem: Some("No.") };
    let html = pages::sign_in("", SITE, &again).unwrap();
    assert!(html.contains("role=\"alert\"") && html.contains("aria-describedby=\"problem\""));
}
