//! `page`, `pagelen`, and `fields`.

use http::StatusCode;
use serde_json::{Map, Value};

use super::error;
use crate::http::{Reply, Request};

const DEFAULT_PAGELEN: usize = 10;

/// One page in the envelope, at most `max` rows long; more is refused.
pub(super) fn page<T>(
    template: &'static str,
    request: &Request,
    max: usize,
    rows: &[T],
    row: impl Fn(&T) -> Value,
) -> Reply {
    let number = |name: &str, default| match request.param(name) {
        None => Some(default),
        Some(text) => text.parse::<usize>().ok().filter(|n| *n > 0),
    };
    let pagelen = number("pagelen", DEFAULT_PAGELEN).filter(|n| *n <= max);
    let (Some(pagelen), Some(at)) = (pagelen, number("page", 1)) else {
        return error(StatusCode::BAD_REQUEST, "Invalid page or pagelen");
    };
    let mut body = Map::new();
    let begin = (at - 1).saturating_mul(pagelen);
    body.insert("pagelen".into(), pagelen.into());
    body.insert("size".into(), rows.len().into());
    body.insert("page".into(), at.into());
    body.insert("values".into(), rows.iter().skip(begin).take(pagelen).map(row).collect());
    if begin.saturating_add(pagelen) < rows.len() {
        body.insert("next".into(), request.url_with(&[("page", (at + 1).to_string())]).into());
    }
    if at > 1 {
        body.insert("previous".into(), request.url_with(&[("page", (at - 1).to_string())]).into());
    }
    Reply::json(template, StatusCode::OK, &Value::Object(body))
}

/// Keeps of an answer what `fields` names. `-field` drops, `+field` would add what is there already.
pub(super) fn partial(request: &Request, mut reply: Reply) -> Reply {
    // A plus sign that is none of a form's: Bitbucket wants `%2B`.
    let Some(fields) = request.param("fields").filter(|_| reply.status == StatusCode::OK) else {
        return reply;
    };
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return reply };
    let names: Vec<&str> = fields.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let (dropped, rest): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| name.starts_with('-'));
    let kept: Vec<Vec<&str>> =
        rest.iter().filter(|name| !name.starts_with('+')).map(|name| name.split('.').collect()).collect();
    if !kept.is_empty() {
        let kept: Vec<&[&str]> = kept.iter().map(Vec::as_slice).collect();
        body = keep(&body, &kept);
    }
    for name in dropped {
        let path: Vec<&str> = name.trim_start_matches('-').split('.').collect();
        drop_path(&mut body, &path);
    }
    reply.body = body.to_string().into_bytes();
    reply
}

fn keep(value: &Value, paths: &[&[&str]]) -> Value {
    if paths.iter().any(|path| path.is_empty() || path == &["*"]) {
        return value.clone();
    }
    match value {
        Value::Array(rows) => rows.iter().map(|row| keep(row, paths)).collect(),
        Value::Object(object) => {
            let field = |(name, value): (&String, &Value)| {
                let inside: Vec<&[&str]> =
                    paths.iter().filter(|path| path[0] == name).map(|path| &path[1..]).collect();
                (!inside.is_empty()).then(|| (name.clone(), keep(value, &inside)))
            };
            Value::Object(object.iter().filter_map(field).collect())
        }
        other => other.clone(),
    }
}

fn drop_path(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Array(rows), _) => rows.iter_mut().for_each(|row| drop_path(row, path)),
        (Value::Object(object), [name]) => drop(object.remove(*name)),
        (Value::Object(object), [name, rest @ ..]) => {
            if let Some(inside) = object.get_mut(*name) {
                drop_path(inside, rest);
            }
        }
        _ => {}
    }
}

/// Whether a row fits `q`: `name="value"`, several with ` OR ` between them. Nothing else of the query language.
pub(super) fn terms(q: &str) -> Option<Vec<(String, String)>> {
    q.split(" OR ")
        .map(|term| {
            let (name, value) = term.trim().split_once('=')?;
            let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
            Some((name.trim().to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_kept_and_dropped() {
        let body = json!({"values": [{"a": 1, "b": {"c": 2, "d": 3}}, {"a": null}], "next": "x", "size": 2});
        let paths: [&[&str]; 3] = [&["values", "a"], &["values", "b", "c"], &["next"]];
        assert_eq!(
            keep(&body, &paths),
            json!({"values": [{"a": 1, "b": {"c": 2}}, {"a": null}], "next": "x"})
        );
        let mut body = body;
        drop_path(&mut body, &["values", "b"]);
        assert_eq!(body, json!({"values": [{"a": 1}, {"a": null}], "next": "x", "size": 2}));
        assert_eq!(terms(r#"state="new" OR state="on hold""#).unwrap()[1].1, "on hold");
        assert_eq!(terms("state>3"), None);
    }
}
