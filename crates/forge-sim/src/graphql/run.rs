//! Answering a question from nodes that know their fields.

use serde_json::{Map, Value, json};

use super::schema::{QUERY, Schema};
use super::{Args, Question, Set};

/// What a field gives.
pub(crate) enum Got<'a> {
    /// A value without fields of its own, or null.
    Leaf(Value),
    /// A node.
    One(Node<'a>),
    /// Several.
    Many(Vec<Node<'a>>),
    /// Null, and an error of this sort with these words.
    Missing(&'static str, String),
}

impl<'a> Got<'a> {
    /// A node, or null.
    pub(crate) fn node(node: Option<Node<'a>>) -> Self {
        node.map_or(Self::Leaf(Value::Null), Self::One)
    }
}

type Get<'a> = Box<dyn Fn(&str, &Args) -> Got<'a> + 'a>;

/// An object: its type, and what its fields are.
pub(crate) struct Node<'a> {
    of: &'static str,
    get: Get<'a>,
}

impl<'a> Node<'a> {
    pub(crate) fn new(of: &'static str, get: impl Fn(&str, &Args) -> Got<'a> + 'a) -> Self {
        Self { of, get: Box::new(get) }
    }
}

/// The answer: `{"data"}`, and `"errors"` where something was missing.
pub(crate) fn answer(schema: &Schema, question: &Question, root: &Node<'_>) -> Value {
    let mut errors = Vec::new();
    let Some((set, _)) = question.operation() else { return json!({ "data": null }) };
    let data = object(schema, question, root, set, &mut Vec::new(), &mut errors);
    if errors.is_empty() { json!({ "data": data }) } else { json!({ "data": data, "errors": errors }) }
}

fn object(
    schema: &Schema,
    question: &Question,
    node: &Node<'_>,
    set: &Set,
    path: &mut Vec<Value>,
    errors: &mut Vec<Value>,
) -> Value {
    let mut out = Map::new();
    // The root is of the type at which questions begin.
    let of = if node.of.is_empty() { QUERY } else { node.of };
    for (asked_of, field) in question.fields(of, set) {
        if !schema.is_a(of, asked_of) {
            continue;
        }
        let key = field.alias.as_ref().unwrap_or(&field.name);
        path.push(json!(key));
        let got = if field.name == "__typename" {
            Got::Leaf(json!(of))
        } else {
            (node.get)(&field.name, &question.args(field))
        };
        let value = match got {
            // Numbers are of 32 bits, and a larger one is none.
            Got::Leaf(Value::Number(number)) if is_int(schema, asked_of, &field.name, &number) => {
                errors.push(json!({ "message": format!("Integer out of bounds: {number}"), "path": path }));
                Value::Null
            }
            Got::Leaf(value) => value,
            Got::One(node) => object(schema, question, &node, &field.selection_set, path, errors),
            Got::Many(nodes) => {
                let mut all = Vec::new();
                for (at, node) in nodes.iter().enumerate() {
                    path.push(json!(at));
                    all.push(object(schema, question, node, &field.selection_set, path, errors));
                    path.pop();
                }
                Value::Array(all)
            }
            Got::Missing(kind, message) => {
                errors.push(json!({ "type": kind, "path": path, "message": message }));
                Value::Null
            }
        };
        path.pop();
        // The same field from two fragments is one.
        match (out.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            (_, value) => {
                out.insert(key.clone(), value);
            }
        }
    }
    Value::Object(out)
}

fn is_int(schema: &Schema, of: &str, name: &str, number: &serde_json::Number) -> bool {
    let fits = number.as_i64().is_some_and(|n| i32::try_from(n).is_ok());
    schema.field(of, name).is_some_and(|known| known.of == "Int") && !fits && !number.is_f64()
}
