//! Offset and keyset pagination, as in GitLab's headers.

use http::StatusCode;
use serde_json::{Value, json};

use crate::http::{Reply, Request};

const DEFAULT_PER_PAGE: usize = 20;
const MAX_PER_PAGE: usize = 100;
/// Above so many rows GitLab does not count any more: no `x-total`, no `rel="last"`.
const MAX_COUNTED: usize = 10_000;
/// Offset pagination of projects ends there.
const MAX_OFFSET: usize = 50_000;

/// Page and size that a request wants.
pub(super) fn wanted(request: &Request) -> Result<(usize, usize), Reply> {
    let number = |name: &str, default: usize| match request.param(name) {
        None => Ok(default),
        Some(text) => match text.parse::<usize>() {
            Ok(0) if name == "per_page" => Err(invalid("per_page has a value not allowed")),
            Ok(value) => Ok(value.max(1)),
            Err(_) => Err(invalid(&format!("{name} is invalid"))),
        },
    };
    Ok((number("page", 1)?, number("per_page", DEFAULT_PER_PAGE)?.min(MAX_PER_PAGE)))
}

/// `{"error": …}` with 400, as Grape answers a bad parameter.
pub(super) fn invalid(message: &str) -> Reply {
    Reply::json("(error)", StatusCode::BAD_REQUEST, &json!({ "error": message }))
}

/// One page of `rows` by offset; `row` is called for those on it only.
pub(super) fn by_offset<T>(
    template: &'static str,
    request: &Request,
    rows: &[T],
    row: impl Fn(&T) -> Value,
) -> Reply {
    let (page, per_page) = match wanted(request) {
        Ok(wanted) => wanted,
        Err(reply) => return reply,
    };
    let begin = (page - 1).saturating_mul(per_page);
    if begin > MAX_OFFSET {
        let text = format!(
            "Offset pagination has a maximum allowed offset of {MAX_OFFSET} for requests that return objects of type Project. \
             Remaining records can be retrieved using keyset pagination."
        );
        return Reply::json("(error)", StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": text }));
    }
    let total = rows.len();
    let pages = total.div_ceil(per_page).max(1);
    let body: Vec<Value> = rows.iter().skip(begin).take(per_page).map(row).collect();
    let has_next = begin + per_page < total;
    let at =
        |page: usize| request.url_with(&[("page", page.to_string()), ("per_page", per_page.to_string())]);
    let mut links = Vec::new();
    if page > 1 {
        links.push(format!("<{}>; rel=\"prev\"", at(page - 1)));
    }
    if has_next {
        links.push(format!("<{}>; rel=\"next\"", at(page + 1)));
    }
    links.push(format!("<{}>; rel=\"first\"", at(1)));
    if total <= MAX_COUNTED {
        links.push(format!("<{}>; rel=\"last\"", at(pages)));
    }
    let mut reply = Reply::json(template, StatusCode::OK, &Value::Array(body))
        .with("link", links.join(", "))
        .with("x-page", page.to_string())
        .with("x-per-page", per_page.to_string())
        .with("x-next-page", if has_next { (page + 1).to_string() } else { String::new() })
        .with("x-prev-page", if page > 1 { (page - 1).to_string() } else { String::new() });
    if total <= MAX_COUNTED {
        reply = reply.with("x-total", total.to_string()).with("x-total-pages", pages.to_string());
    }
    reply
}

/// The first `per_page` of `rows`, which the caller has cut at the cursor; `next` names the cursor after a row.
pub(super) fn by_keyset<T>(
    template: &'static str,
    request: &Request,
    rows: &[T],
    row: impl Fn(&T) -> Value,
    next: impl Fn(&T) -> (&'static str, String),
) -> Reply {
    let (_, per_page) = match wanted(request) {
        Ok(wanted) => wanted,
        Err(reply) => return reply,
    };
    let body: Vec<Value> = rows.iter().take(per_page).map(row).collect();
    let reply =
        Reply::json(template, StatusCode::OK, &Value::Array(body)).with("x-per-page", per_page.to_string());
    if rows.len() <= per_page {
        return reply;
    }
    let (name, value) = next(&rows[per_page - 1]);
    let url = request.url_with(&[(name, value), ("per_page", per_page.to_string())]);
    reply.with("link", format!("<{url}>; rel=\"next\""))
}
