//! The application that answers, and that may be exchanged while requests come in.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::Request;
use tower::ServiceExt as _;

/// Leads every request to the application of that moment. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Switch(Arc<RwLock<Router>>);

impl Switch {
    pub(crate) fn new(first: Router) -> Self {
        Self(Arc::new(RwLock::new(first)))
    }

    /// From the next request on.
    pub(crate) fn set(&self, next: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    fn now(&self) -> Router {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As the server takes it.
    pub(crate) fn router(&self) -> Router {
        let switch = self.clone();
        Router::new().fallback(move |request: Request| {
            let now = switch.now();
            async move { now.oneshot(request).await }
        })
    }
}
