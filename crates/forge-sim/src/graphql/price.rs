//! What a question costs, by the platforms' published formulas.

use serde_json::{Value, json};

use super::schema::{QUERY, Schema};
use super::{Question, Set, page_size};

/// The most nodes that GitHub gives for one question.
const MAX_NODES: u64 = 500_000;
/// The largest page of either platform.
const MAX_PAGE: u64 = 100;

#[derive(Default)]
struct Sums {
    requests: u64,
    nodes: u64,
}

/// GitHub's points, and the nodes that a question could give: one request for each connection, assuming full pages, and
/// a hundred of them a point.
///
/// # Errors
/// GitHub's complaint: a connection without `first` or `last`, a page that is too large, or too many nodes.
pub(crate) fn points(schema: &Schema, question: &Question) -> Result<(u64, u64), Value> {
    let mut sums = Sums::default();
    if let Some((set, _)) = question.operation() {
        connections(schema, question, QUERY, set, 1, &mut sums)?;
    }
    if sums.nodes > MAX_NODES {
        let message = format!(
            "This query requests up to {} possible nodes which exceeds the maximum limit of {MAX_NODES}.",
            sums.nodes
        );
        return Err(json!({ "type": "MAX_NODE_LIMIT_EXCEEDED", "message": message }));
    }
    Ok((((sums.requests + 50) / 100).max(1), sums.nodes))
}

fn connections(
    schema: &Schema,
    question: &Question,
    of: &str,
    set: &Set,
    times: u64,
    sums: &mut Sums,
) -> Result<(), Value> {
    for (of, field) in question.fields(of, set) {
        let Some(known) = schema.field(of, &field.name) else { continue };
        let mut inner = times;
        if known.of.ends_with("Connection") {
            let Some(page) = page_size(&question.args(field)) else {
                let message = format!(
                    "You must provide a `first` or `last` value to properly paginate the `{}` connection.",
                    field.name
                );
                return Err(json!({ "type": "MISSING_PAGINATION_BOUNDARIES", "message": message }));
            };
            if !(1..=MAX_PAGE).contains(&page) {
                let message = format!(
                    "Requesting {page} records on the `{}` connection exceeds the `first` limit of {MAX_PAGE} records.",
                    field.name
                );
                return Err(json!({ "type": "EXCESSIVE_PAGINATION", "message": message }));
            }
            sums.requests += times;
            inner = times * page;
            sums.nodes += inner;
        }
        connections(schema, question, &known.of, &field.selection_set, inner, sums)?;
    }
    Ok(())
}

/// Which fields cost more than one at GitLab, as `Type.field`.
pub(crate) struct Dear {
    /// They ask Gitaly: one more.
    pub(crate) gitaly: &'static [&'static str],
    /// A resolver makes the list: its inside once, and a hundredth more for each item of the page.
    pub(crate) resolved: &'static [&'static str],
}

/// GitLab's complexity of a question.
pub(crate) fn complexity(schema: &Schema, question: &Question, dear: &Dear) -> u64 {
    question.operation().map_or(0, |(set, _)| inside(schema, question, QUERY, set, dear))
}

fn inside(schema: &Schema, question: &Question, of: &str, set: &Set, dear: &Dear) -> u64 {
    let mut sum = 0;
    for (of, field) in question.fields(of, set) {
        let Some(known) = schema.field(of, &field.name) else {
            sum += 1;
            continue;
        };
        let child = inside(schema, question, &known.of, &field.selection_set, dear);
        let path = format!("{of}.{}", field.name);
        let gitaly = u64::from(dear.gitaly.contains(&path.as_str()));
        sum += if dear.resolved.contains(&path.as_str()) {
            let args = question.args(field);
            let filters = ["sha", "ref"].iter().filter(|name| args.contains_key(**name)).count() as u64 * 2;
            let whole = child + 1 + u64::from(args.contains_key("sort")) + filters + gitaly;
            whole + whole * page_size(&args).unwrap_or(MAX_PAGE).min(MAX_PAGE) / 100
        } else {
            child + 1 + gitaly
        };
    }
    sum
}
