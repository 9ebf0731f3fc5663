//! Faults on demand: what a platform does on a bad day.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;

use crate::world::FaceId;

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The answer comes so much later. Adds up with another effect.
    Latency(Duration),
    /// This status with the body that the platform's front door sends.
    Status(u16),
    /// 429 with `Retry-After` in seconds.
    TooMany {
        /// Seconds.
        retry_after: u64,
    },
    /// The right answer, but the connection closes in the middle of its body.
    CutBody,
    /// 200 with half a JSON document.
    InvalidJson,
    /// 200 with a JSON string of so many bytes.
    HugeBody(usize),
    /// No answer, ever, until the client gives up.
    Hang,
    /// 302 to this URL.
    Redirect(String),
    /// 200 with a login page, as a proxy sends it.
    LoginPage,
    /// 451 as GitHub sends it.
    Unavailable451,
    /// The right answer with parts of it replaced by nonsense of other types, sizes and depths. The same seed spoils the same
    /// answer in the same way.
    Mangle(u64),
    /// The right answer, but every text under one of these keys (attributes, in XML) is a word that nobody has heard of.
    Reword(&'static [&'static str]),
}

/// Which requests, how often, and what.
#[derive(Debug, Clone)]
pub struct Fault {
    face: Option<FaceId>,
    method: Option<Method>,
    path: String,
    spared: u32,
    times: Option<u32>,
    effect: Effect,
}

impl Fault {
    /// A fault for every path that fits `path`, where `*` stands for anything (also slashes). A pattern with a `?` is
    /// compared with path and query, any other with the path alone.
    #[must_use]
    pub fn on(path: &str, effect: Effect) -> Self {
        Self { face: None, method: None, path: path.to_owned(), spared: 0, times: None, effect }
    }

    /// Only at this face.
    #[must_use]
    pub fn face(mut self, face: FaceId) -> Self {
        self.face = Some(face);
        self
    }

    /// Only for this method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only after so many requests that it would fit.
    #[must_use]
    pub fn after(mut self, spared: u32) -> Self {
        self.spared = spared;
        self
    }

    /// Only so many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    fn fits(&self, face: FaceId, method: &Method, path: &str, query: &str) -> bool {
        self.times != Some(0)
            && self.face.is_none_or(|wanted| wanted == face)
            && self.method.as_ref().is_none_or(|wanted| wanted == method)
            && if self.path.contains('?') {
                glob(&self.path, &format!("{path}?{query}"))
            } else {
                glob(&self.path, path)
            }
    }
}

/// The faults that are in force. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Fault>>>);

impl Faults {
    /// Puts a fault in force. Of several that fit, the one added first wins; latencies add up.
    pub fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(fault);
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What happens to a request: the delay, and at most one other effect.
    pub(crate) fn strike(
        &self,
        face: FaceId,
        method: &Method,
        path: &str,
        query: &str,
    ) -> (Duration, Option<Effect>) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut delay, mut effect) = (Duration::ZERO, None);
        for fault in faults.iter_mut().filter(|fault| fault.fits(face, method, path, query)) {
            if fault.spared > 0 {
                fault.spared -= 1;
                continue;
            }
            match &fault.effect {
                Effect::Latency(more) => delay += *more,
                _ if effect.is_some() => continue,
                other => effect = Some(other.clone()),
            }
            if let Some(times) = &mut fault.times {
                *times -= 1;
            }
        }
        faults.retain(|fault| fault.times != Some(0));
        (delay, effect)
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any number of characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_for_anything() {
        assert!(glob("/api/v4/projects/*/pipelines", "/api/v4/projects/a%2Fb/pipelines"));
        assert!(glob("*", "/x"));
        assert!(glob("*/jobs*", "/runs/1/jobs?page=2"));
        assert!(!glob("/user", "/user/repos"));
        assert!(!glob("*/jobs", "/runs/1/jobs/2"));
    }
}
