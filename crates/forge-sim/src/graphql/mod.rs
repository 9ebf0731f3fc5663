//! GraphQL: queries are parsed, held to a published schema, priced and answered.
//!
//! A face brings its schema, cut from what its platform publishes, and nodes that know their fields. Whatever the schema
//! does not have is refused as the platforms do, so that simulator and connector cannot agree on a field that is not there.

mod check;
mod price;
mod run;
mod schema;

use std::collections::BTreeMap;

use graphql_parser::query::{
    Definition, Document, Field, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
    TypeCondition, Value as Written, VariableDefinition, parse_query,
};
use serde_json::{Value, json};

pub(crate) use price::{Dear, complexity, points};
pub(crate) use run::{Got, Node, answer};
pub(crate) use schema::Schema;

/// Arguments of a field, variables put in.
pub(crate) type Args = BTreeMap<String, Value>;

type Fields = Field<'static, String>;
type Set = SelectionSet<'static, String>;

/// A query that holds to its schema.
pub(crate) struct Question {
    document: Document<'static, String>,
    variables: Value,
}

impl Question {
    /// Reads the body of a request: `{"query", "variables"}`.
    ///
    /// # Errors
    /// As the platforms write them, when it is no query or asks for what the schema does not have.
    pub(crate) fn read(schema: &Schema, body: &[u8]) -> Result<Self, Vec<Value>> {
        let wrong = |message: String| vec![json!({ "message": message })];
        let body: Value =
            serde_json::from_slice(body).map_err(|_| wrong("Problems parsing JSON".to_owned()))?;
        let Some(query) = body.get("query").and_then(Value::as_str) else {
            return Err(wrong("A query attribute must be specified and must be a string.".to_owned()));
        };
        let document = parse_query::<String>(query)
            .map_err(|e| wrong(format!("Parse error on query: {e}")))?
            .into_static();
        let question = Self { document, variables: body.get("variables").cloned().unwrap_or_default() };
        let complaints = check::complaints(schema, &question);
        if complaints.is_empty() { Ok(question) } else { Err(complaints) }
    }

    /// The selection of the operation, and its variables.
    fn operation(&self) -> Option<(&Set, &[VariableDefinition<'static, String>])> {
        self.document.definitions.iter().find_map(|definition| match definition {
            Definition::Operation(OperationDefinition::SelectionSet(set)) => Some((set, [].as_slice())),
            Definition::Operation(OperationDefinition::Query(query)) => {
                Some((&query.selection_set, query.variable_definitions.as_slice()))
            }
            _ => None,
        })
    }

    fn fragment(&self, name: &str) -> Option<&FragmentDefinition<'static, String>> {
        self.document.definitions.iter().find_map(|definition| match definition {
            Definition::Fragment(fragment) if fragment.name == name => Some(fragment),
            _ => None,
        })
    }

    /// All fields of a selection, those of fragments included, each with the type that it is asked of.
    fn fields<'a>(&'a self, of: &'a str, set: &'a Set) -> Vec<(&'a str, &'a Fields)> {
        let mut fields = Vec::new();
        for selection in &set.items {
            match selection {
                Selection::Field(field) => fields.push((of, field)),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.fragment(&spread.fragment_name) {
                        let TypeCondition::On(of) = &fragment.type_condition;
                        fields.extend(self.fields(of, &fragment.selection_set));
                    }
                }
                Selection::InlineFragment(inline) => {
                    let on = inline.type_condition.as_ref().map(|TypeCondition::On(on)| on.as_str());
                    fields.extend(self.fields(on.unwrap_or(of), &inline.selection_set));
                }
            }
        }
        fields
    }

    fn args(&self, field: &Fields) -> Args {
        field.arguments.iter().map(|(name, value)| (name.clone(), self.value(value))).collect()
    }

    fn value(&self, value: &Written<'static, String>) -> Value {
        match value {
            Written::Variable(name) => self.variables.get(name).cloned().unwrap_or(Value::Null),
            Written::Int(number) => json!(number.as_i64()),
            Written::Float(number) => json!(number),
            Written::String(text) | Written::Enum(text) => json!(text),
            Written::Boolean(yes) => json!(yes),
            Written::Null => Value::Null,
            Written::List(items) => items.iter().map(|item| self.value(item)).collect(),
            Written::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.value(value))).collect()
            }
        }
    }
}

/// The first argument of a page's size.
fn page_size(args: &Args) -> Option<u64> {
    ["first", "last"].iter().find_map(|name| args.get(*name)?.as_u64())
}
