//! Page numbers and `Link`.

use serde_json::Value;

use crate::http::{Reply, Request};

const DEFAULT_PER_PAGE: usize = 30;
const MAX_PER_PAGE: usize = 100;

/// The rows of one page as JSON, and the `Link` header when there are other pages.
pub(super) struct Page {
    pub(super) rows: Vec<Value>,
    link: Option<String>,
}

/// Cuts the page that a request wants. Bad numbers count as the default, as there.
pub(super) fn page<T>(request: &Request, rows: &[T], row: impl Fn(&T) -> Value) -> Page {
    let number =
        |name: &str| request.param(name).and_then(|text| text.parse::<usize>().ok()).filter(|n| *n > 0);
    let per_page = number("per_page").unwrap_or(DEFAULT_PER_PAGE).min(MAX_PER_PAGE);
    let at = number("page").unwrap_or(1);
    let pages = rows.len().div_ceil(per_page).max(1);
    let url = |page: usize| request.url_with(&[("page", page.to_string())]);
    let mut links = Vec::new();
    if at > 1 {
        links.push(format!("<{}>; rel=\"prev\"", url((at - 1).min(pages))));
    }
    if at < pages {
        links.push(format!("<{}>; rel=\"next\"", url(at + 1)));
        links.push(format!("<{}>; rel=\"last\"", url(pages)));
    }
    if at > 1 {
        links.push(format!("<{}>; rel=\"first\"", url(1)));
    }
    let rows = rows.iter().skip((at - 1).saturating_mul(per_page)).take(per_page).map(row).collect();
    Page { rows, link: (!links.is_empty()).then(|| links.join(", ")) }
}

impl Page {
    /// A bare array.
    pub(super) fn list(self, template: &'static str) -> Reply {
        let reply = Reply::json(template, http::StatusCode::OK, &Value::Array(self.rows));
        with_link(reply, self.link)
    }

    /// `{"total_count": …, name: […]}`.
    pub(super) fn counted(self, template: &'static str, name: &str, total: usize) -> Reply {
        let mut body = serde_json::Map::new();
        body.insert("total_count".to_owned(), total.into());
        body.insert(name.to_owned(), Value::Array(self.rows));
        with_link(Reply::json(template, http::StatusCode::OK, &Value::Object(body)), self.link)
    }
}

fn with_link(reply: Reply, link: Option<String>) -> Reply {
    match link {
        Some(link) => reply.with("link", link),
        None => reply,
    }
}
