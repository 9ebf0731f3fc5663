//! How often each method was called over gRPC, what came of it, and how long it took.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Whoever may connect may name any method: no more than so many become labels.
const MAX_METHODS: usize = 64;
/// What all others are counted as.
const OTHER: &str = "other";
/// Upper bounds, in seconds; most answers come from memory.
const BOUNDS: [f64; 9] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    method: Arc<str>,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: Arc<str>,
}

/// Calls since the process began.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    methods: Arc<Mutex<BTreeSet<Arc<str>>>>,
    answered: Family<Call, Counter>,
    took: Family<Method, Histogram, fn() -> Histogram>,
}

impl Default for Calls {
    fn default() -> Self {
        let took = Family::new_with_constructor((|| Histogram::new(BOUNDS)) as fn() -> Histogram);
        Self { methods: Arc::default(), answered: Family::default(), took }
    }
}

impl Calls {
    /// `method` was answered with `code`; of a stream, it began.
    pub(crate) fn note(&self, method: &str, code: tonic::Code, took: Duration) {
        let method = self.label(method);
        self.took.get_or_create(&Method { method: Arc::clone(&method) }).observe(took.as_secs_f64());
        self.answered.get_or_create(&Call { method, code: api::code_word(code) }).inc();
    }

    fn label(&self, method: &str) -> Arc<str> {
        let mut methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = methods.get(method) {
            return Arc::clone(known);
        }
        let label = Arc::<str>::from(if methods.len() < MAX_METHODS { method } else { OTHER });
        methods.insert(Arc::clone(&label));
        label
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "ci_dashboard_grpc_server_requests",
            "Questions over gRPC, by what came of them; a stream once it began",
            self.answered.clone(),
        );
        registry.register_with_unit(
            "ci_dashboard_grpc_server_request_duration",
            "Time until the head of the answer",
            Unit::Seconds,
            self.took.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_methods_are_one() {
        let calls = Calls::default();
        for n in 0..1_000 {
            calls.note(&format!("M{n}"), tonic::Code::Unimplemented, Duration::from_millis(1));
        }
        let mut registry = Registry::default();
        calls.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let of = |method: &str| {
            let line = format!("requests_total{{method=\"{method}\",code=\"UNIMPLEMENTED\"}} ");
            text.lines().find_map(|l| l.split_once(&line)).map(|(_, count)| count.to_owned())
        };
        assert_eq!((of("M63").as_deref(), of("M64"), of("other").as_deref()), (Some("1"), None, Some("936")));
    }
}
