//! The description of the API, made from [`routes`](super::routes) and the tables below; tests hold real answers
//! against it.

mod stats;

use serde_json::{Map, Value, json};

use super::routes::{Answer, Extra, Route, routes};
use crate::params::{self, Words};

/// What a field holds.
#[derive(Debug, Clone, Copy)]
enum Is {
    Text,
    Time,
    Seconds,
    /// With a fraction, 0 or more.
    Number,
    /// The same, and below 0 too.
    Change,
    Whole,
    Bool,
    Word(&'static [&'static str]),
    /// Another schema.
    One(&'static str),
    /// A list of another schema.
    Many(&'static str),
    /// A list of texts.
    Texts,
}

use Is::{Bool, Change, Many, Number, One, Seconds, Text, Texts, Time, Whole, Word};

/// Name, type, whether it may be null, what it says.
type Field = (&'static str, Is, bool, &'static str);

const NULL: bool = true;
const SET: bool = false;

const OUTCOMES: Is = Word(&["success", "warning", "failed", "canceled", "skipped", "unknown"]);
const ACTIVITIES: Is = Word(&["queued", "running"]);
const WHYS: Is =
    Word(&["new", "webhook", "looked_at", "moved", "failed", "running", "active", "dormant", "never"]);
const SOURCE_STATES: Is = Word(&["ok", "limited", "failing", "down"]);
const STATUSES: Is =
    Word(&["queued", "running", "success", "warning", "failed", "canceled", "skipped", "manual", "unknown"]);

const SCHEMAS: &[(&str, &[Field])] = &[
    (
        "Project",
        &[
            ("source", Text, SET, "name of the source"),
            ("platform", Text, SET, "id of the platform"),
            ("id", Text, SET, "the platform's own id"),
            ("name", Text, SET, "full name"),
            ("description", Text, NULL, ""),
            ("visibility", Word(&["public", "internal", "private"]), NULL, ""),
            ("avatar_url", Text, NULL, ""),
            ("url", Text, NULL, "on the platform"),
            ("default_branch", Text, NULL, ""),
            ("outcome", OUTCOMES, NULL, "of what last completed on the default branch; null: nothing yet"),
            ("activity", ACTIVITIES, NULL, "what goes on now"),
            ("broken_since", Time, NULL, "start of the first red run"),
            ("last_activity_at", Time, NULL, ""),
            ("problem", Text, NULL, "why it has no data, in words"),
            ("pipelines", Many("Pipeline"), SET, "newest of each workflow on the default branch"),
        ],
    ),
    (
        "Pipeline",
        &[
            ("source", Text, NULL, "name of the source"),
            ("project_id", Text, NULL, "the platform's own id of the project"),
            ("id", Text, SET, "the platform's id of the run"),
            ("number", Whole, NULL, "as people call it"),
            ("attempt", Whole, NULL, "from 1"),
            ("workflow", Text, NULL, ""),
            ("branch", Text, NULL, ""),
            ("sha", Text, NULL, "the commit"),
            ("status", STATUSES, SET, ""),
            ("native_status", Text, NULL, "the platform's own word"),
            ("event", Text, NULL, "what started it"),
            ("author", Text, NULL, ""),
            ("message", Text, NULL, "of the commit"),
            ("created_at", Time, NULL, ""),
            ("started_at", Time, NULL, ""),
            ("finished_at", Time, NULL, ""),
            ("duration_seconds", Seconds, NULL, ""),
            ("queued_seconds", Seconds, NULL, ""),
            (
                "expected_duration_seconds",
                Seconds,
                NULL,
                "while it is active: as a rule, by its newest green runs",
            ),
            (
                "overdue_after_seconds",
                Seconds,
                NULL,
                "while it is active: 95 of 100 green runs took no longer",
            ),
            ("url", Text, NULL, "on the platform"),
        ],
    ),
    (
        "Job",
        &[
            ("id", Text, SET, "the platform's id"),
            ("name", Text, SET, ""),
            ("stage", Text, NULL, ""),
            ("status", STATUSES, SET, ""),
            ("native_status", Text, NULL, "the platform's own word"),
            ("allow_failure", Bool, SET, "its failure is only a warning"),
            ("failure_reason", Text, NULL, ""),
            ("created_at", Time, NULL, ""),
            ("started_at", Time, NULL, ""),
            ("finished_at", Time, NULL, ""),
            ("duration_seconds", Seconds, NULL, ""),
            ("queued_seconds", Seconds, NULL, ""),
            ("url", Text, NULL, "on the platform"),
        ],
    ),
    (
        "Branch",
        &[
            ("source", Text, NULL, "name of the source"),
            ("project_id", Text, NULL, "the platform's own id of the project"),
            ("name", Text, SET, ""),
            ("default", Bool, SET, ""),
            ("protected", Bool, NULL, ""),
            ("sha", Text, NULL, "the newest commit"),
            ("author", Text, NULL, "of that commit"),
            ("message", Text, NULL, "of that commit"),
            ("committed_at", Time, NULL, ""),
            ("outcome", OUTCOMES, NULL, "of what last completed"),
            ("activity", ACTIVITIES, NULL, "what goes on now"),
            ("pipelines", Many("Pipeline"), SET, "newest of each workflow"),
            ("url", Text, NULL, "on the platform"),
        ],
    ),
    (
        "MergeRequest",
        &[
            ("source", Text, NULL, "name of the source"),
            ("project_id", Text, NULL, "the platform's own id of the project"),
            ("id", Text, SET, "the platform's id"),
            ("number", Whole, SET, "as people call it"),
            ("title", Text, SET, ""),
            ("state", Word(&["open", "merged", "closed"]), SET, "lists hold open ones"),
            ("draft", Bool, SET, "not ready for review"),
            ("author", Text, NULL, ""),
            ("reviewers", Texts, SET, "asked to review it"),
            ("labels", Texts, SET, ""),
            ("source_branch", Text, NULL, "from; of a fork owner:branch"),
            ("target_branch", Text, NULL, "into"),
            ("sha", Text, NULL, "its newest commit"),
            (
                "outcome",
                OUTCOMES,
                NULL,
                "of what last completed for that commit; null: nothing yet, or not known",
            ),
            ("activity", ACTIVITIES, NULL, "what goes on for it now"),
            ("created_at", Time, NULL, ""),
            ("updated_at", Time, NULL, ""),
            ("url", Text, NULL, "on the platform"),
        ],
    ),
    (
        "Issue",
        &[
            ("source", Text, NULL, "name of the source"),
            ("project_id", Text, NULL, "the platform's own id of the project"),
            ("id", Text, SET, "the platform's id"),
            ("number", Whole, SET, "as people call it"),
            ("title", Text, SET, ""),
            ("state", Word(&["open", "closed"]), SET, "lists hold open ones"),
            ("author", Text, NULL, ""),
            ("assignees", Texts, SET, "whose it is"),
            ("labels", Texts, SET, ""),
            ("created_at", Time, NULL, ""),
            ("updated_at", Time, NULL, ""),
            ("url", Text, NULL, "on the platform"),
        ],
    ),
    (
        "Me",
        &[
            ("source", Text, SET, "name of the source"),
            ("platform", Text, SET, "id of the platform"),
            ("name", Text, NULL, "null: nobody's token, not known, or not shown"),
            ("login", Text, NULL, "user name on the platform"),
            ("avatar_url", Text, NULL, ""),
            ("error", Text, NULL, "why it is not known"),
        ],
    ),
    (
        "Source",
        &[
            ("name", Text, SET, "as configured"),
            ("platform", Text, SET, "id of the platform"),
            ("url", Text, NULL, ""),
            ("state", SOURCE_STATES, NULL, "null: it is read for the first time"),
            ("error", Text, NULL, "why, in words"),
            ("failing_since", Time, NULL, "since when it is not ok"),
            ("next_try_at", Time, NULL, "when it is tried again"),
            ("last_success_at", Time, NULL, ""),
            ("projects", Whole, SET, "how many it has"),
            ("budget", One("Budget"), NULL, "what the platform still allows"),
            ("requests_last_hour", Whole, SET, ""),
            (
                "not_modified_share",
                Number,
                NULL,
                "of the last hour's requests that were answered 304, 0 to 1; null: none was made",
            ),
            ("schedule", One("SourceSchedule"), NULL, "what is due; null: it is not asked"),
            ("batching", One("Batching"), NULL, "many projects are asked about at once; null: they are not"),
            ("endpoints", Many("Endpoint"), SET, "what it was asked, by endpoint"),
            ("sends_webhooks", Bool, SET, "its platform sends webhooks that are understood"),
            ("webhooks", One("Webhooks"), NULL, "how they fare since the start; null: it takes none"),
            (
                "token",
                One("Token"),
                NULL,
                "what the platform tells of it; null: nothing, or it was not asked yet",
            ),
        ],
    ),
    (
        "Token",
        &[
            ("scopes", Texts, SET, "what it is allowed, in the platform's words"),
            ("writes", Texts, SET, "of these, with which something can be altered"),
            ("expires_at", Time, NULL, "when it stops to work; null: never, or not told"),
        ],
    ),
    (
        "SourceSchedule",
        &[
            ("projects", Whole, SET, "that are asked at all"),
            ("due", Whole, SET, "of these, due now"),
            ("unread", Whole, SET, "of these, never asked yet"),
            ("next_at", Time, NULL, "when the most pressing is due"),
            ("stretch", Number, SET, "how much longer than meant a project waits for the limit; 1: as meant"),
            ("active_every_seconds", Seconds, NULL, "how often an active project is meant to be asked"),
            ("age_median_seconds", Seconds, NULL, "age of what is shown, since it was last confirmed"),
            ("age_worst_seconds", Seconds, NULL, "the oldest"),
            ("webhooks_alive", Bool, SET, "webhooks prove alive, so that polling slows"),
            ("paused_until", Time, NULL, "it is left alone until then"),
            ("failures", Whole, SET, "in a row, that made it be left alone"),
        ],
    ),
    (
        "Batching",
        &[
            ("per_request", Whole, SET, "projects that one request asks about"),
            ("cost", Whole, SET, "of the budget, for one such request"),
            ("budget", One("Budget"), NULL, "null: they are paid from the source's own"),
        ],
    ),
    (
        "Endpoint",
        &[
            ("endpoint", Text, SET, "method and path, ids left out"),
            ("requests", Whole, SET, "since the start"),
            ("not_modified", Whole, SET, "of these, answered 304"),
            ("failed", Whole, SET, "of these, without an answer, or with 4xx or 5xx"),
            ("waited_seconds", Seconds, NULL, "for the heads of their answers, summed up"),
            ("requests_last_hour", Whole, SET, ""),
            ("not_modified_last_hour", Whole, SET, ""),
        ],
    ),
    (
        "Explanation",
        &[
            ("source", Text, SET, "name of the source"),
            ("platform", Text, SET, "id of the platform"),
            ("id", Text, SET, "the platform's own id"),
            ("name", Text, SET, "full name"),
            ("url", Text, NULL, "on the platform"),
            ("branch", Text, NULL, "whose runs decide"),
            ("outcome", OUTCOMES, NULL, "of what last completed; null: nothing yet"),
            ("activity", ACTIVITIES, NULL, "what goes on now"),
            ("problem", Text, NULL, "why it has no data, in words"),
            ("reasons", Many("Reason"), SET, "the runs that decided, and those that had no say"),
            ("schedule", One("Schedule"), NULL, "null: nobody asks its source"),
            ("source_state", SOURCE_STATES, NULL, "null: it is read for the first time"),
            ("source_error", Text, NULL, "why, in words"),
        ],
    ),
    (
        "Reason",
        &[
            ("pipeline_id", Text, SET, "the platform's id of the run"),
            ("number", Whole, NULL, "as people call it"),
            ("workflow", Text, NULL, ""),
            ("decided", Bool, SET, "it had a say"),
            ("outcome", OUTCOMES, NULL, "what it said"),
            ("left_out", Text, NULL, "why it had no say, in a word"),
            ("left_out_text", Text, NULL, "and in words"),
            ("url", Text, NULL, "on the platform"),
        ],
    ),
    (
        "Schedule",
        &[
            ("why", WHYS, SET, "why it is asked when it is"),
            ("why_text", Text, SET, "in words"),
            ("every_seconds", Seconds, NULL, "how often that is"),
            ("asked_at", Time, NULL, "when the last question was sent; null: never"),
            ("whole_at", Time, NULL, "when its whole state was, where it is asked for news otherwise"),
            (
                "answer",
                Word(&["changed", "unchanged", "moved", "failed"]),
                NULL,
                "moved: only its whole state tells what; null: nothing was asked yet",
            ),
            ("failure", Text, NULL, "why it failed, in words"),
            ("due_at", Time, NULL, "null: never"),
            ("reading", Bool, SET, "it is being asked now"),
            ("told_by_listing", Bool, SET, "its state comes with the listing of all projects"),
            ("webhook_at", Time, NULL, "its last webhook"),
            ("hooked", Bool, SET, "webhooks are relied upon, so that it is asked less often"),
            ("paused_until", Time, NULL, "its source is left alone until then"),
            ("stretch", Number, SET, "how much longer than meant everything takes; 1: as meant"),
        ],
    ),
    (
        "Webhooks",
        &[
            ("last_at", Time, NULL, "when the newest one came that was believed"),
            ("last_kind", Text, NULL, "what it told, in the platform's word"),
            ("accepted", Whole, SET, "applied"),
            ("duplicate", Whole, SET, "taken before"),
            ("ignored", Whole, SET, "believed, and of no concern here"),
            ("forged", Whole, SET, "refused: not signed with the source's secret"),
            ("malformed", Whole, SET, "refused: signed, but not readable"),
            ("too_large", Whole, SET, "refused: too large"),
            ("last_refused_at", Time, NULL, ""),
            ("last_refusal", Text, NULL, "why, in words"),
        ],
    ),
    (
        "Budget",
        &[
            ("limit", Whole, SET, ""),
            ("remaining", Whole, SET, ""),
            ("reset_at", Time, NULL, "when it is full again"),
            ("window_seconds", Seconds, NULL, "that the limit is for"),
        ],
    ),
    (
        "Log",
        &[
            ("text", Text, NULL, "as the platform gave it, escape codes included"),
            ("truncated", Bool, SET, "its beginning is missing"),
            ("note", Text, NULL, "why there is no text"),
            ("loading", Bool, SET, "ask again in a moment"),
        ],
    ),
    (
        "Session",
        &[
            ("name", Text, NULL, "of the user, token:NAME of a script; null: nobody has signed in"),
            ("groups", Texts, SET, "of the user"),
            ("by", Word(&["session", "password", "token", "proxy"]), NULL, "what was shown"),
            ("expires_at", Time, NULL, "of a session that is not used until then, or of a token"),
        ],
    ),
    (
        "Store",
        &[
            ("state", Word(&["off", "opening", "ok", "failing"]), SET, "off: the settings want none"),
            ("engine", Text, NULL, "what keeps it, with its version"),
            ("error", Text, NULL, "why it is not ok, in words"),
            ("failing_since", Time, NULL, ""),
            ("waiting", Whole, SET, "projects (history) or entries (cache) whose news wait to be written"),
            ("behind", Whole, NULL, "of history: projects whose earlier runs are still to be fetched"),
        ],
    ),
    (
        "Stores",
        &[
            ("history", One("Store"), NULL, "of runs, in a database"),
            ("cache", One("Store"), NULL, "in Redis, behind the memory"),
        ],
    ),
    (
        "Problem",
        &[
            ("type", Text, SET, "RFC 9457"),
            ("title", Text, SET, ""),
            ("status", Whole, SET, "the HTTP status"),
            ("detail", Text, SET, ""),
            ("request_id", Text, SET, "by which the logs know the request"),
        ],
    ),
];

/// All schemas.
fn schemas() -> impl Iterator<Item = &'static (&'static str, &'static [Field])> {
    SCHEMAS.iter().chain(stats::SCHEMAS)
}

/// The names of a schema's fields, in their order.
pub(super) fn columns(schema: &str) -> Vec<&'static str> {
    let fields = schemas().find(|(name, _)| *name == schema).map_or(&[][..], |(_, fields)| fields);
    fields.iter().map(|field| field.0).collect()
}

/// The document, with `base` (no slash at its end) as where the API is served.
pub(crate) fn document(base: &str) -> Value {
    let paths: Map<String, Value> =
        routes().iter().map(|route| (route.path.to_owned(), json!({ "get": operation(route) }))).collect();
    let schemas: Map<String, Value> =
        schemas().map(|(name, fields)| ((*name).to_owned(), schema(fields))).collect();
    let parameters: Map<String, Value> = list_parameters(None);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "CI Dashboard",
            "version": crate::VERSION,
            "description": "The state of every pipeline. Ids are strings; what is not known is null; times are RFC 3339 UTC, \
                            durations seconds. Errors are RFC 9457 problem documents. Answers carry an ETag.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": format!("{base}/api/v1") }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": parameters,
            "responses": {
                "Problem": {
                    "description": "What went wrong",
                    "content": { "application/problem+json": { "schema": reference("Problem") } },
                },
            },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "password": { "type": "http", "scheme": "basic" },
            },
        },
        "security": [{ "token": [] }, { "password": [] }, {}],
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn type_of(is: Is, null: bool) -> Value {
    let simple = |name: &str| if null { json!([name, "null"]) } else { json!(name) };
    match is {
        Text => json!({ "type": simple("string") }),
        Time => json!({ "type": simple("string"), "format": "date-time" }),
        Seconds | Number => json!({ "type": simple("number"), "minimum": 0 }),
        Whole => json!({ "type": simple("integer"), "minimum": 0 }),
        Change => json!({ "type": simple("number") }),
        Bool => json!({ "type": simple("boolean") }),
        Word(words) => {
            let mut all: Vec<Value> = words.iter().map(|w| json!(w)).collect();
            if null {
                all.push(Value::Null);
            }
            json!({ "type": simple("string"), "enum": all })
        }
        One(name) if null => json!({ "oneOf": [reference(name), { "type": "null" }] }),
        One(name) => reference(name),
        Many(name) => json!({ "type": "array", "items": reference(name) }),
        Texts => json!({ "type": "array", "items": { "type": "string" } }),
    }
}

fn schema(fields: &[Field]) -> Value {
    let property = |&(name, is, null, says): &Field| {
        let mut of = type_of(is, null);
        if let (Value::Object(of), false) = (&mut of, says.is_empty()) {
            of.insert("description".to_owned(), json!(says));
        }
        (name.to_owned(), of)
    };
    let properties: Map<String, Value> = fields.iter().map(property).collect();
    let required: Vec<&str> = fields.iter().map(|field| field.0).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn list_schema(item: &str) -> Value {
    let count = || type_of(Whole, SET);
    json!({
        "type": "object",
        "properties": {
            "items": { "type": "array", "items": reference(item) },
            "total": count(),
            "page": count(),
            "per_page": count(),
            "version": { "type": ["string", "null"], "description": "of the board, epoch.sequence" },
            "loading": { "type": "boolean", "description": "there and true: not read yet, ask again in a moment" },
            "problems": {
                "type": "array",
                "items": { "type": "string" },
                "description": "there when something is missing: what, and why",
            },
        },
        "required": ["items", "total", "page", "per_page", "version"],
    })
}

/// The parameters of lists; of one list with the words that it knows.
fn list_parameters(words: Option<&Words>) -> Map<String, Value> {
    let strings = |words: Option<&[&str]>| {
        let item =
            words.map_or_else(|| json!({ "type": "string" }), |w| json!({ "type": "string", "enum": w }));
        json!({ "type": "array", "items": item })
    };
    let sorts = words.map_or_else(
        || json!({ "type": "string" }),
        |w| {
            let turned = w.sorts.iter().map(|sort| format!("-{sort}"));
            let all: Vec<String> = w.sorts.iter().map(|sort| (*sort).to_owned()).chain(turned).collect();
            json!({ "type": "string", "enum": all })
        },
    );
    [
        ("q", "search text", json!({ "type": "string", "maxLength": 200 })),
        ("source", "source names, repeated or separated by commas", strings(None)),
        ("platform", "platform ids, repeated or separated by commas", strings(None)),
        (
            "status",
            "words of the status, repeated or separated by commas",
            strings(words.map(|w| w.statuses)),
        ),
        ("sort", "order; a leading - turns it round", sorts),
        ("page", "from 1", json!({ "type": "integer", "minimum": 1, "default": 1 })),
        (
            "per_page",
            "items of a page",
            json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 50 }),
        ),
    ]
    .into_iter()
    .map(|(name, says, schema)| {
        (name.to_owned(), json!({ "name": name, "in": "query", "description": says, "schema": schema }))
    })
    .collect()
}

fn switch(name: &str) -> Value {
    let says = match name {
        "mine" => "1: only what the current users of the sources wrote, own or are asked to review",
        _ => "1: only drafts; 0: none",
    };
    json!({ "name": name, "in": "query", "description": says, "schema": { "type": "string", "enum": ["1", "0"] } })
}

fn parameter(name: &str, says: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "description": says, "schema": schema })
}

/// The parameters of all insights.
fn stats_parameters() -> Vec<Value> {
    let names = json!({ "type": "array", "items": { "type": "string" } });
    let day = json!({ "type": "string", "format": "date" });
    vec![
        parameter(
            "window",
            "the last so many days, today included: 1d to 400d",
            &json!({ "type": "string", "default": "30d" }),
        ),
        parameter("from", "instead of a window: from this day on, UTC", &day),
        parameter("to", "up to this day, included", &day),
        parameter("source", "source names, repeated or separated by commas", &names),
        parameter("platform", "platform ids, repeated or separated by commas", &names),
        parameter("project", "one project, as source:id", &json!({ "type": "string" })),
        parameter("branch", "a branch name, in whatever project", &json!({ "type": "string" })),
    ]
}

fn extra_parameters(extra: Extra) -> Vec<Value> {
    let text = json!({ "type": "string" });
    let one_of = |words: &[&str]| json!({ "type": "string", "enum": words, "default": words[0] });
    let count = |default: u32, most: u32| json!({ "type": "integer", "minimum": 1, "maximum": most, "default": default });
    match extra {
        Extra::Csv => {
            vec![parameter(
                "format",
                "csv: the items (or figures) alone, as a table",
                &one_of(params::FORMATS),
            )]
        }
        Extra::Limit => vec![parameter("limit", "at most so many", &count(10, 100))],
        Extra::Rank => vec![
            parameter("of", "what is ranked", &one_of(params::RANKED)),
            parameter("by", "by median duration, number of runs, share of red", &one_of(params::ORDERS)),
            parameter(
                "min_runs",
                "only what has so many",
                &json!({ "type": "integer", "minimum": 1, "default": 5 }),
            ),
        ],
        Extra::Behind => vec![
            parameter(
                "status",
                "words of the status, repeated or separated by commas",
                &json!({ "type": "array", "items": { "type": "string", "enum": params::PIPELINES.statuses } }),
            ),
            parameter("day", "created on this day, UTC", &json!({ "type": "string", "format": "date" })),
            parameter(
                "hour",
                "created in this hour of the week, Monday 0:00 UTC being 0",
                &json!({ "type": "integer", "minimum": 0, "maximum": 167 }),
            ),
            parameter("workflow", "of this workflow, by the platform's id of it", &text),
            parameter("job", "with a failed job of this name", &text),
            parameter("reason", "that failed for this reason", &text),
            parameter(
                "ran_job",
                "with a job of this name, whatever came of it; without job and reason",
                &text,
            ),
            parameter(
                "no_reason",
                "1: with job, that failed without a reason",
                &json!({ "type": "string", "enum": ["1", "0"] }),
            ),
            parameter("page", "from 1", &json!({ "type": "integer", "minimum": 1, "default": 1 })),
            parameter("per_page", "items of a page", &count(50, 100)),
        ],
    }
}

fn operation(route: &Route) -> Value {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let mut csv = false;
    let (media, schema) = match &route.answer {
        Answer::List(item, words) => {
            parameters.extend(list_parameters(Some(words)).into_iter().map(|(_, parameter)| parameter));
            parameters.extend(words.switches.iter().map(|name| switch(name)));
            if *item == "Pipeline" {
                parameters.push(json!({
                    "name": "branch", "in": "query", "description": "a branch name", "schema": { "type": "string" },
                }));
            }
            ("application/json", list_schema(item))
        }
        Answer::Stats(schema, extra) => {
            parameters.extend(stats_parameters());
            parameters.extend(extra.iter().flat_map(|extra| extra_parameters(*extra)));
            csv = extra.contains(&Extra::Csv);
            ("application/json", reference(schema))
        }
        Answer::One(item) => ("application/json", reference(item)),
        Answer::Events => ("text/event-stream", json!({ "type": "string" })),
        Answer::Description => ("application/json", json!({ "type": "object" })),
    };
    let mut content = Map::new();
    content.insert(media.to_owned(), json!({ "schema": schema }));
    if csv {
        content.insert("text/csv".to_owned(), json!({ "schema": { "type": "string" } }));
    }
    json!({
        "summary": route.summary,
        "operationId": route.path.trim_start_matches('/').replace(['/', '.'], "_").replace(['{', '}'], ""),
        "parameters": parameters,
        "responses": {
            "200": { "description": "The answer", "content": content },
            "default": { "$ref": "#/components/responses/Problem" },
        },
    })
}
