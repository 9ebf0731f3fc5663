//! Asking about many things at once where a platform has GraphQL beside its REST API.
//!
//! It is never the only way: where it is not there, where it refuses, or where a question turns out too large for it,
//! the caller asks by REST. So nothing here is an error of the source; it is found out quietly and remembered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{Clock, Timestamp, text};
use futures::StreamExt as _;
use futures::stream::{self, Stream};
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::Error;
use crate::http::{Budget, Client, Post};

/// How long it is taken for granted that a platform has no GraphQL, or none that understands us.
const ABSENT_FOR: SignedDuration = SignedDuration::from_hours(1);
/// Failures before the first answer after which it counts as absent.
const FAILURES_BEFORE_ANY: u32 = 2;
/// So many answers in a row before larger questions are tried again.
const FINE_IN_A_ROW: u32 = 20;
/// Questions at the same time.
const AT_ONCE: usize = 4;
/// Requests that the answers of one go of questions may lead to at once.
const EXTRAS: usize = 8;
/// How much of a complaint is written to the log, in characters.
const MAX_COMPLAINT: usize = 200;

/// What is particular to a platform's GraphQL.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// For metrics: `POST /graphql`.
    pub endpoint: &'static str,
    /// What it is paid from, where that is counted apart ([`Post::paid_from`]).
    pub resource: Option<&'static str>,
    /// About how many things one question asks, at most.
    pub most: usize,
    /// Fewer are not worth a question of their own: below this a question that fails is not halved.
    pub least: usize,
    /// There is a question for servers that do not know every field yet ([`GraphQl::is_plain`]) …
    pub has_plain: bool,
    /// … and for tokens that may not see these fields, which are not in it.
    pub optional: &'static [&'static str],
}

/// An answer, perhaps a partial one: what is missing has an error, and is to be asked for otherwise.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// What was asked for.
    pub data: T,
    /// What could not be told.
    pub errors: Vec<Complaint>,
}

/// What a go of questions may spend on top on single requests that complete what they told (why a run failed). What there is
/// no room for is left to a reading of the whole, which is scheduled.
#[derive(Debug)]
pub struct Extras(AtomicUsize);

impl Default for Extras {
    fn default() -> Self {
        Self(AtomicUsize::new(EXTRAS))
    }
}

impl Extras {
    /// Whether there is room for so many requests; they are taken then.
    pub fn take(&self, requests: usize) -> bool {
        let left = |left: usize| left.checked_sub(requests);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
    }
}

/// What a platform says could not be told.
#[derive(Debug, Clone, Deserialize)]
pub struct Complaint {
    /// In its words.
    #[serde(default)]
    pub message: String,
    /// Its sort, where it tells one: `NOT_FOUND`, `RATE_LIMITED`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Where in the answer.
    #[serde(default)]
    pub path: Vec<Value>,
}

impl Complaint {
    /// Whether a server says that it does not know a field: of an older version than the question.
    fn is_unknown_field(&self) -> bool {
        self.message.contains("doesn't exist on type")
    }

    /// Whether it is about one of these fields.
    fn is_about(&self, fields: &[&str]) -> bool {
        self.path.iter().filter_map(Value::as_str).any(|name| fields.contains(&name))
    }

    fn is_limit(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| kind.starts_with("RATE_LIMIT"))
    }

    /// Whether a smaller question may be answered.
    fn is_size(&self) -> bool {
        let kind = self.kind.as_deref().unwrap_or_default();
        let words = self.message.to_ascii_lowercase();
        kind == "RESOURCE_LIMITS_EXCEEDED"
            || kind == "MAX_NODE_LIMIT_EXCEEDED"
            || ["complexity", "timeout", "timed out", "something went wrong", "resource limits", "too large"]
                .iter()
                .any(|told| words.contains(told))
    }
}

#[derive(Debug, Deserialize)]
struct Envelope<T> {
    #[serde(default = "none")]
    data: Option<T>,
    #[serde(default)]
    errors: Vec<Complaint>,
}

const fn none<T>() -> Option<T> {
    None
}

/// Why there is no answer.
#[derive(Debug)]
enum Trouble {
    /// A smaller question may be answered.
    TooLarge,
    /// A plainer one may be.
    TooNew,
    /// This one will not be.
    Useless,
}

#[derive(Debug)]
struct State {
    absent_until: Option<Timestamp>,
    plain_until: Option<Timestamp>,
    answered: bool,
    failures_before_any: u32,
    size: usize,
    fine: u32,
    cost: u64,
}

/// The GraphQL of one source.
#[derive(Debug)]
pub struct GraphQl {
    client: Client,
    url: Url,
    dialect: Dialect,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl GraphQl {
    /// Sets it up; nothing is asked yet. The URL is of the client's own host.
    #[must_use]
    pub fn new(client: Client, url: Url, dialect: Dialect, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            absent_until: None,
            plain_until: None,
            answered: false,
            failures_before_any: 0,
            size: dialect.most,
            fine: 0,
            cost: 1,
        };
        Self { client, url, dialect, clock, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is worth asking: it was not found missing within the last hour.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let until = self.state().absent_until;
        !self.lasts(until)
    }

    /// Whether only fields may be asked for that every server knows and every token may see: within the last hour one was not.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let until = self.state().plain_until;
        self.lasts(until)
    }

    /// Whether something that was remembered for [`ABSENT_FOR`] still stands.
    fn lasts(&self, until: Option<Timestamp>) -> bool {
        let left = until.map(|until| until.duration_since(self.clock.now()));
        // A clock that was put back makes nothing last for long.
        left.is_some_and(|left| left.is_positive() && left <= ABSENT_FOR)
    }

    /// Leaves out from now on what not everybody may ask for. Whether that makes a difference.
    fn becomes_plain(&self) -> bool {
        let differs = self.dialect.has_plain && !self.is_plain();
        if differs {
            self.state().plain_until = self.clock.now().checked_add(ABSENT_FOR).ok();
        }
        differs
    }

    /// How many things one question asks at present.
    #[must_use]
    pub fn size(&self) -> usize {
        self.state().size
    }

    /// What the last question cost.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.state().cost
    }

    /// What it is paid from, as last told, where that is counted apart.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        self.client.budget_of(self.dialect.resource?)
    }

    /// Takes what an answer tells of its price.
    pub fn paid(&self, cost: u64, budget: Option<Budget>) {
        self.state().cost = cost.max(1);
        if let (Some(resource), Some(budget)) = (self.dialect.resource, budget) {
            self.client.learn(resource, budget);
        }
    }

    /// An answer told nothing of what it was asked, as one does for a token that may not see it: as good as absent.
    pub fn told_nothing(&self, why: &str) {
        self.is_absent(why);
    }

    fn is_absent(&self, why: &str) {
        let mut state = self.state();
        state.absent_until = self.clock.now().checked_add(ABSENT_FOR).ok();
        (state.answered, state.failures_before_any, state.size) = (false, 0, self.dialect.most);
        let why = text::line(why, MAX_COMPLAINT);
        tracing::debug!(endpoint = self.dialect.endpoint, why, "no GraphQL: REST is asked, for an hour");
    }

    fn was_fine(&self) {
        let mut state = self.state();
        (state.answered, state.failures_before_any) = (true, 0);
        state.fine += 1;
        if state.fine >= FINE_IN_A_ROW && state.size < self.dialect.most {
            state.fine = 0;
            state.size = (state.size + state.size.div_ceil(2)).min(self.dialect.most);
        }
    }

    /// Halves what is asked at once, unless that has happened since a question of this size was made.
    fn was_too_large(&self, size: usize) {
        let mut state = self.state();
        state.fine = 0;
        state.size = state.size.min((size / 2).max(self.dialect.least)).max(1);
    }

    async fn ask<T: DeserializeOwned>(&self, query: &str, variables: &Value) -> Result<Answer<T>, Trouble> {
        let body = serde_json::json!({ "query": query, "variables": variables });
        let mut post = Post::json(&body).map_err(|_| Trouble::Useless)?;
        if let Some(resource) = self.dialect.resource {
            post = post.paid_from(resource);
        }
        let answer = self.client.post(self.dialect.endpoint, self.url.clone(), post).await;
        let envelope = answer.and_then(|answer| answer.json::<Envelope<T>>());
        match envelope {
            Ok(Envelope { data: Some(_), errors })
                if errors.iter().any(|e| e.is_about(self.dialect.optional)) && self.becomes_plain() =>
            {
                // What holds a field that may not be seen is not told either.
                Err(Trouble::TooNew)
            }
            Ok(Envelope { data: Some(data), errors }) => {
                self.was_fine();
                Ok(Answer { data, errors })
            }
            Ok(Envelope { data: None, errors }) => {
                if errors.iter().any(Complaint::is_limit) {
                    return Err(Trouble::Useless);
                }
                if errors.iter().any(Complaint::is_size) {
                    return Err(Trouble::TooLarge);
                }
                let too_new = errors.iter().any(Complaint::is_unknown_field);
                if too_new && self.becomes_plain() {
                    return Err(Trouble::TooNew);
                }
                let why = errors.first().map_or("an answer without data", |error| &error.message);
                self.is_absent(why);
                Err(Trouble::Useless)
            }
            // Nothing that REST would not meet as well.
            Err(Error::Unauthorized(_) | Error::RateLimited { .. }) => Err(Trouble::Useless),
            // A gateway's word for a question that took too long, unless there is nothing behind it.
            Err(error @ (Error::Server(_) | Error::Unreachable(_))) => {
                let mut state = self.state();
                if state.answered {
                    return Err(Trouble::TooLarge);
                }
                state.failures_before_any += 1;
                let enough = state.failures_before_any >= FAILURES_BEFORE_ANY;
                drop(state);
                if enough {
                    self.is_absent(&error.to_string());
                    return Err(Trouble::Useless);
                }
                Err(Trouble::TooLarge)
            }
            Err(error) => {
                self.is_absent(&error.to_string());
                Err(Trouble::Useless)
            }
        }
    }

    /// Asks about many things, some at a time, fewer where that was too large. Gives back each batch with its answer, or
    /// without one where they have to be asked for otherwise. `question` makes query and variables.
    pub fn ask_all<'a, A, T, F>(
        &'a self,
        asks: Vec<A>,
        question: F,
    ) -> impl Stream<Item = (Vec<A>, Option<Answer<T>>)> + Send + 'a
    where
        A: Send + 'a,
        T: DeserializeOwned + Send + 'a,
        F: Fn(&[A]) -> (String, Value) + Send + Sync + Copy + 'a,
    {
        let size = self.size().max(1);
        let mut batches = Vec::new();
        let mut asks = asks.into_iter().peekable();
        while asks.peek().is_some() {
            batches.push(asks.by_ref().take(size).collect::<Vec<_>>());
        }
        stream::iter(batches)
            .map(move |batch| self.ask_batch(batch, question))
            .buffer_unordered(AT_ONCE)
            .flat_map(stream::iter)
    }

    async fn ask_batch<A, T, F>(&self, batch: Vec<A>, question: F) -> Vec<(Vec<A>, Option<Answer<T>>)>
    where
        T: DeserializeOwned,
        F: Fn(&[A]) -> (String, Value),
    {
        let mut done = Vec::new();
        let mut waiting = vec![batch];
        while let Some(mut batch) = waiting.pop() {
            if !self.is_there() {
                done.push((batch, None));
                continue;
            }
            let (query, variables) = question(&batch);
            match self.ask(&query, &variables).await {
                Ok(answer) => {
                    // Some of it was too much: what is missing is asked for otherwise, the next question is smaller.
                    if answer.errors.iter().any(Complaint::is_size) {
                        self.was_too_large(batch.len());
                    }
                    done.push((batch, Some(answer)));
                }
                Err(Trouble::TooLarge) if batch.len() > self.dialect.least.max(1) => {
                    self.was_too_large(batch.len());
                    let rest = batch.split_off(batch.len().div_ceil(2));
                    waiting.extend([rest, batch]);
                }
                Err(Trouble::TooNew) => waiting.push(batch),
                Err(_) => done.push((batch, None)),
            }
        }
        done
    }
}
