//! Whether a question asks for what there is.

use graphql_parser::query::{Definition, Selection, TypeCondition};
use serde_json::{Value, json};

use super::schema::{QUERY, Schema};
use super::{Question, Set};

/// What is wrong with a question, as GitHub and GitLab say it.
pub(super) fn complaints(schema: &Schema, question: &Question) -> Vec<Value> {
    let mut all = Vec::new();
    for definition in &question.document.definitions {
        if let Definition::Fragment(fragment) = definition {
            let TypeCondition::On(of) = &fragment.type_condition;
            let used = [of.as_str()];
            all.extend(used.iter().filter(|of| !schema.has(of)).map(|of| no_type(of)));
            selection(schema, question, of, &fragment.selection_set, &mut all);
        }
    }
    match question.operation() {
        Some((set, variables)) => {
            for variable in variables {
                let given = question.variables.get(&variable.name).is_some_and(|v| !v.is_null());
                let required = matches!(variable.var_type, graphql_parser::query::Type::NonNullType(_));
                if required && !given && variable.default_value.is_none() {
                    let message = format!("Variable ${} was provided invalid value", variable.name);
                    all.push(json!({ "message": message }));
                }
            }
            selection(schema, question, QUERY, set, &mut all);
        }
        None => all.push(json!({ "message": "An operation is required." })),
    }
    all
}

fn no_type(of: &str) -> Value {
    json!({
        "message": format!("No such type {of}, so it can't be a fragment condition"),
        "extensions": { "code": "undefinedType", "typeName": of },
    })
}

fn selection(schema: &Schema, question: &Question, of: &str, set: &Set, all: &mut Vec<Value>) {
    for selected in &set.items {
        match selected {
            Selection::Field(field) if field.name == "__typename" => {}
            Selection::Field(field) => {
                let Some(known) = schema.field(of, &field.name) else {
                    all.push(json!({
                        "message": format!("Field '{}' doesn't exist on type '{of}'", field.name),
                        "extensions": { "code": "undefinedField", "typeName": of, "fieldName": field.name },
                        "locations": [{ "line": field.position.line, "column": field.position.column }],
                    }));
                    continue;
                };
                for (name, _) in field.arguments.iter().filter(|(name, _)| !known.args.contains_key(name)) {
                    all.push(json!({
                        "message": format!("Field '{}' doesn't accept argument '{name}'", field.name),
                        "extensions": { "code": "argumentNotAccepted", "name": field.name, "argumentName": name },
                    }));
                }
                for (name, _) in known.args.iter().filter(|(_, required)| **required) {
                    if !field.arguments.iter().any(|(given, _)| given == name) {
                        let message = format!("Field '{}' is missing required arguments: {name}", field.name);
                        all.push(json!({ "message": message, "extensions": { "code": "missingRequiredArguments" } }));
                    }
                }
                let (composite, selected) = (schema.has(&known.of), !field.selection_set.items.is_empty());
                if composite != selected {
                    let message = if composite {
                        format!("Field must have selections (field '{}' returns {})", field.name, known.of)
                    } else {
                        format!(
                            "Selections can't be made on scalars (field '{}' returns {})",
                            field.name, known.of
                        )
                    };
                    all.push(json!({ "message": message, "extensions": { "code": "selectionMismatch" } }));
                }
                if composite {
                    selection(schema, question, &known.of, &field.selection_set, all);
                }
            }
            Selection::FragmentSpread(spread) => {
                if question.fragment(&spread.fragment_name).is_none() {
                    let message = format!("Fragment {} was used, but not defined", spread.fragment_name);
                    all.push(json!({ "message": message, "extensions": { "code": "useAndDefineFragment" } }));
                }
            }
            Selection::InlineFragment(inline) => {
                let on = inline.type_condition.as_ref().map_or(of, |TypeCondition::On(on)| on.as_str());
                if schema.has(on) {
                    selection(schema, question, on, &inline.selection_set, all);
                } else {
                    all.push(no_type(on));
                }
            }
        }
    }
}
