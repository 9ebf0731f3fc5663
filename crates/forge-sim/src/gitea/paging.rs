//! `page` and `limit`, `Link` and `X-Total-Count`.

use http::StatusCode;
use serde_json::Value;

use crate::http::{Reply, Request};

/// Rows of a page, unless told otherwise, and at most: Gitea's defaults.
const DEFAULT_LIMIT: usize = 30;
const MAX_LIMIT: usize = 50;

/// One page of a list.
pub(super) struct Page {
    rows: Vec<Value>,
    total: usize,
    link: String,
}

/// Cuts the page that a request wants. `row` is called for those on it only.
pub(super) fn page<T>(request: &Request, rows: &[T], row: impl Fn(&T) -> Value) -> Page {
    let number = |name: &str| request.param(name).and_then(|t| t.parse::<usize>().ok()).filter(|n| *n > 0);
    let limit = number("limit").unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let at = number("page").unwrap_or(1);
    let pages = rows.len().div_ceil(limit).max(1);
    let link = |page: usize, rel: &str| {
        format!("<{}>; rel=\"{rel}\"", request.url_with(&[("page", page.to_string())]))
    };
    let mut links = Vec::new();
    if at < pages {
        links.extend([link(at + 1, "next"), link(pages, "last")]);
    }
    if at > 1 {
        links.extend([link(1, "first"), link(at - 1, "prev")]);
    }
    Page {
        rows: rows.iter().skip((at - 1).saturating_mul(limit)).take(limit).map(row).collect(),
        total: rows.len(),
        link: links.join(","),
    }
}

impl Page {
    /// A bare array.
    pub(super) fn list(self, template: &'static str) -> Reply {
        let reply = Reply::json(template, StatusCode::OK, &Value::Array(self.rows));
        headed(reply, self.total, &self.link)
    }

    /// `{name: […], "total_count": …}`, with the headers of a list only where the server has learnt that.
    pub(super) fn counted(self, template: &'static str, name: &str, with_headers: bool) -> Reply {
        let mut body = serde_json::Map::new();
        body.insert(name.to_owned(), Value::Array(self.rows));
        body.insert("total_count".to_owned(), self.total.into());
        let reply = Reply::json(template, StatusCode::OK, &Value::Object(body));
        if with_headers { headed(reply, self.total, &self.link) } else { reply }
    }
}

fn headed(reply: Reply, total: usize, link: &str) -> Reply {
    let reply = reply
        .with("x-total-count", total.to_string())
        .with("access-control-expose-headers", "X-Total-Count, Link");
    if link.is_empty() { reply } else { reply.with("link", link) }
}
