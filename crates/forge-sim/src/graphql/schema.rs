//! A published schema, as far as a face shows it.

use std::collections::{BTreeMap, BTreeSet};

use graphql_parser::schema::{Definition, Field, Type, TypeDefinition, parse_schema};

/// A field of a type.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The name of its type, without lists and exclamation marks.
    pub(crate) of: String,
    /// Its arguments, and whether one has to be given.
    pub(crate) args: BTreeMap<String, bool>,
}

/// Types and their fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    types: BTreeMap<String, BTreeMap<String, Known>>,
    /// Which interfaces a type has.
    interfaces: BTreeMap<String, BTreeSet<String>>,
}

fn named<'a>(of: &'a Type<'static, String>) -> &'a str {
    match of {
        Type::NamedType(name) => name,
        Type::ListType(of) | Type::NonNullType(of) => named(of),
    }
}

fn known(fields: Vec<Field<'static, String>>) -> BTreeMap<String, Known> {
    let args = |field: &Field<'static, String>| {
        let required = |of: &Type<'static, String>| matches!(of, Type::NonNullType(_));
        field
            .arguments
            .iter()
            .map(|arg| (arg.name.clone(), required(&arg.value_type) && arg.default_value.is_none()))
            .collect()
    };
    fields
        .into_iter()
        .map(|field| {
            let known = Known { of: named(&field.field_type).to_owned(), args: args(&field) };
            (field.name, known)
        })
        .collect()
}

impl Schema {
    /// Reads it; a text that is none has no types, so that every question is refused.
    pub(crate) fn parse(text: &str) -> Self {
        let mut schema = Self::default();
        let Ok(document) = parse_schema::<String>(text) else { return schema };
        for definition in document.into_static().definitions {
            let (name, fields, interfaces) = match definition {
                Definition::TypeDefinition(TypeDefinition::Object(object)) => {
                    (object.name, known(object.fields), object.implements_interfaces)
                }
                Definition::TypeDefinition(TypeDefinition::Interface(interface)) => {
                    (interface.name, known(interface.fields), interface.implements_interfaces)
                }
                _ => continue,
            };
            schema.interfaces.insert(name.clone(), interfaces.into_iter().collect());
            schema.types.insert(name, fields);
        }
        schema
    }

    /// Whether there is such an object or interface.
    pub(crate) fn has(&self, of: &str) -> bool {
        self.types.contains_key(of)
    }

    /// A field of a type.
    pub(crate) fn field(&self, of: &str, name: &str) -> Option<&Known> {
        self.types.get(of)?.get(name)
    }

    /// Whether an object is of a type, by itself or through an interface.
    pub(crate) fn is_a(&self, object: &str, of: &str) -> bool {
        object == of || self.interfaces.get(object).is_some_and(|all| all.contains(of))
    }
}

/// The type at which questions begin.
pub(crate) const QUERY: &str = "Query";

#[cfg(test)]
mod tests {
    use graphql_parser::schema::parse_schema;

    use super::Schema;

    #[test]
    fn the_published_schemas_are_read() {
        let (github, gitlab) =
            (include_str!("../github/schema.graphql"), include_str!("../gitlab/schema.graphql"));
        for (text, known) in [(github, "Repository"), (gitlab, "Project")] {
            assert_eq!(parse_schema::<String>(text).err().map(|e| e.to_string()), None);
            assert!(Schema::parse(text).has(known));
        }
    }
}
