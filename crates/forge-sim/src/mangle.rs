//! Answers spoiled on purpose: right in form, wrong in what they hold.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use crate::faults::Effect;
use crate::http::Reply;

/// A word that no platform uses.
pub(crate) const UNHEARD_OF: &str = "perplexed";
/// One part of an answer in so many is spoiled.
const ONE_IN: u32 = 9;
/// A long text, in characters.
const LONG: usize = 20_000;
/// A deep nesting: below the 128 at which parsers of JSON stop, so that the answer still is JSON.
const DEEP: usize = 60;
/// One byte in so many of what is no JSON is spoiled.
const ONE_BYTE_IN: u32 = 40;

/// The answer as the effect makes it; untouched by any other effect.
pub(crate) fn apply(mut reply: Reply, effect: Option<&Effect>) -> Reply {
    match effect {
        Some(Effect::Mangle(seed)) => {
            let mut hasher = DefaultHasher::new();
            (seed, &reply.body).hash(&mut hasher);
            let mut random = ChaCha8Rng::seed_from_u64(hasher.finish());
            reply.body = match serde_json::from_slice(&reply.body) {
                Ok(value) => spoil(value, &mut random).to_string().into_bytes(),
                Err(_) => spoil_bytes(&reply.body, &mut random),
            };
        }
        Some(Effect::Reword(keys)) => {
            reply.body = match serde_json::from_slice(&reply.body) {
                Ok(mut value) => {
                    reword(&mut value, keys);
                    value.to_string().into_bytes()
                }
                Err(_) => reword_attributes(&reply.body, keys),
            };
        }
        _ => return reply,
    }
    // Another answer is no longer what the tag is of.
    reply.headers.retain(|(name, _)| *name != "etag");
    reply
}

fn spoil(value: Value, random: &mut ChaCha8Rng) -> Value {
    if random.random_ratio(1, ONE_IN) {
        return nonsense(random);
    }
    match value {
        Value::Array(rows) => rows.into_iter().map(|row| spoil(row, random)).collect(),
        Value::Object(fields) => {
            let mut spoiled = Map::new();
            for (key, field) in fields {
                if !random.random_ratio(1, ONE_IN) {
                    spoiled.insert(key, spoil(field, random));
                }
            }
            Value::Object(spoiled)
        }
        other => other,
    }
}

fn nonsense(random: &mut ChaCha8Rng) -> Value {
    match random.random_range(0..14) {
        0 => Value::Null,
        1 => json!(random.random::<bool>()),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(i64::MIN),
        5 => json!(1e308),
        6 => json!(""),
        7 => json!("\u{202e}\u{0}<script>alert(1)</script>\r\n\t%2F../..//é✓"),
        8 => json!("x".repeat(LONG)),
        9 => json!([]),
        10 => json!({}),
        11 => json!([null, 1, "two", { "three": [] }]),
        12 => json!("9999-99-99T99:99:99Z"),
        _ => (0..DEEP).fold(json!("deep"), |inner, _| json!([inner])),
    }
}

fn spoil_bytes(body: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut spoiled = body.to_vec();
    if random.random_ratio(1, 3) {
        spoiled.truncate(random.random_range(0..=body.len()));
    }
    for byte in &mut spoiled {
        if random.random_ratio(1, ONE_BYTE_IN) {
            *byte = random.random();
        }
    }
    spoiled
}

fn reword(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Array(rows) => rows.iter_mut().for_each(|row| reword(row, keys)),
        Value::Object(fields) => {
            for (key, field) in fields {
                if field.is_string() && keys.contains(&key.as_str()) {
                    *field = json!(UNHEARD_OF);
                } else {
                    reword(field, keys);
                }
            }
        }
        _ => {}
    }
}

/// `key="word"` with another word.
fn reword_attributes(body: &[u8], keys: &[&str]) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(body).into_owned();
    for key in keys {
        let begin = format!("{key}=\"");
        let mut pieces = text.split(begin.as_str()).map(str::to_owned);
        let mut rewritten = pieces.next().unwrap_or_default();
        for piece in pieces {
            let rest = piece.split_once('"').map_or("", |(_, rest)| rest);
            rewritten.push_str(&format!("{begin}{UNHEARD_OF}\"{rest}"));
        }
        text = rewritten;
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn json_reply() -> Reply {
        let rows: Vec<_> = (0..40).map(|id| json!({ "id": id, "status": "success", "name": "x" })).collect();
        Reply::json("GET /x", StatusCode::OK, &json!({ "rows": rows }))
    }

    #[test]
    fn the_same_seed_spoils_in_the_same_way() {
        let spoiled = |seed| apply(json_reply(), Some(&Effect::Mangle(seed))).body;
        assert_eq!(spoiled(1), spoiled(1));
        assert_ne!(spoiled(1), spoiled(2));
        assert_ne!(spoiled(1), json_reply().body);
        for seed in 0..50 {
            assert!(serde_json::from_slice::<Value>(&spoiled(seed)).is_ok(), "{seed}: still JSON");
        }
    }

    #[test]
    fn words_are_replaced_in_json_and_in_attributes() {
        let reply = apply(json_reply(), Some(&Effect::Reword(&["status"])));
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["rows"][3], json!({ "id": 3, "status": UNHEARD_OF, "name": "x" }));
        let xml = Reply::text("GET /x", StatusCode::OK, "text/xml", r#"<P a="Success" b="y"/><P a=""/>"#);
        let reply = apply(xml, Some(&Effect::Reword(&["a"])));
        let text = String::from_utf8(reply.body).unwrap();
        assert_eq!(text, r#"<P a="perplexed" b="y"/><P a="perplexed"/>"#);
    }
}
