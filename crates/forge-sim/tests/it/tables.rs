//! Descriptions of answers as tables: which fields, of what type, which of them may be missing (`?`), and whether there may
//! be others (`closed`).

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::common::{array, get};

/// Turns the tables into JSON Schemas.
fn schemas(description: &str) -> Map<String, Value> {
    let tables: Map<String, Value> = serde_json::from_str(description).unwrap();
    let mut schemas = Map::new();
    for (name, table) in &tables {
        let (mut properties, mut required, mut closed) = (Map::new(), Vec::new(), false);
        for (field, kind) in table.as_object().unwrap() {
            if field == "closed" {
                closed = true;
                continue;
            }
            let kind = kind.as_str().unwrap();
            let bare = kind.trim_end_matches('?');
            if bare == kind {
                required.push(field.clone());
            }
            let choices: Vec<Value> = bare
                .split('|')
                .map(|choice| match (choice.strip_prefix('#'), choice.strip_prefix('[')) {
                    (Some(other), _) => json!({"$ref": format!("#/$defs/{other}")}),
                    (_, Some(item)) => json!({"type": "array", "items": {"$ref": format!("#/$defs/{}", item.trim_end_matches(']'))}}),
                    _ => json!({"type": choice}),
                })
                .collect();
            properties.insert(field.clone(), json!({"anyOf": choices}));
        }
        let mut schema = json!({"type": "object", "required": required, "properties": properties});
        if closed {
            schema["additionalProperties"] = json!(false);
        }
        schemas.insert(name.clone(), schema);
    }
    schemas
}

/// Holds answers against tables, and counts them.
pub(crate) struct Judge(BTreeMap<String, Validator>, pub(crate) usize);

impl Judge {
    pub(crate) fn new(description: &str) -> Self {
        let all = schemas(description);
        let ready = all.keys().map(|name| {
            let schema = json!({"$ref": format!("#/$defs/{name}"), "$defs": all});
            (name.clone(), jsonschema::validator_for(&schema).unwrap())
        });
        Self(ready.collect(), 0)
    }

    pub(crate) fn judge(&mut self, name: &str, value: &Value) {
        let errors: Vec<String> =
            self.0[name].iter_errors(value).map(|e| format!("{e} at {}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        self.1 += 1;
    }

    pub(crate) async fn one(&mut self, name: &str, url: &str) -> Value {
        let answer = get(url).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
        let value = answer.json();
        self.judge(name, &value);
        value
    }

    pub(crate) async fn list(&mut self, name: &str, url: &str) -> Vec<Value> {
        let answer = get(url).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
        let rows = array(&answer.json());
        for row in &rows {
            self.judge(name, row);
        }
        rows
    }
}
