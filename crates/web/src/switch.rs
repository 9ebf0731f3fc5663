//! The application that answers, and that may be exchanged while requests come in.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::Request;
use config::Cidr;
use tower::ServiceExt as _;

/// Leads every request to the application of that moment. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switch(Arc<RwLock<Present>>);

/// What holds at a moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Present {
    pub(crate) router: Router,
    /// The proxies that are trusted: many people come through each of them.
    pub(crate) trusted: Vec<Cidr>,
}

impl Switch {
    pub(crate) fn new(first: Present) -> Self {
        Self(Arc::new(RwLock::new(first)))
    }

    /// From the next connection and request on.
    pub(crate) fn set(&self, next: Present) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Whether an address is a trusted proxy's.
    pub(crate) fn trusts(&self, from: IpAddr) -> bool {
        let now = self.0.read().unwrap_or_else(PoisonError::into_inner);
        now.trusted.iter().any(|net| net.contains(from))
    }

    /// As the server takes it.
    pub(crate) fn router(&self) -> Router {
        let switch = self.clone();
        Router::new().fallback(move |request: Request| {
            let now = switch.0.read().unwrap_or_else(PoisonError::into_inner).router.clone();
            async move { now.oneshot(request).await }
        })
    }
}
