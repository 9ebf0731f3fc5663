//! What every request can reach.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use api::v1;
use domain::{Clock, Timestamp};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::WebSettings;
use crate::aggregator::{Aggregator, Phase};
use crate::auth::{Doorman, Visitor};
use crate::failure::Failure;
use crate::hosts::Hosts;
use crate::kept::{Kept, Moment};
use crate::metrics::Metrics;
use crate::pages::{self, Ctx, Door, Live, Nav};
use crate::webhooks::Room;

/// Live connections at once; a browser holds one per open page.
const MAX_STREAMS: usize = 2000;

/// The application. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) settings: WebSettings,
    pub(crate) aggregator: Aggregator,
    pub(crate) endpoint: String,
    pub(crate) kept: Kept,
    pub(crate) doorman: Doorman,
    pub(crate) hosts: Hosts,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) webhook_room: Room,
    pub(crate) stop: CancellationToken,
    /// What the sources last said, for pages that do not ask.
    live: Mutex<Live>,
    /// Which pages there are for them.
    nav: Mutex<Nav>,
}

/// The application, as what belongs to it knows it: without keeping it.
#[derive(Debug, Clone)]
pub(crate) struct Whole(Weak<Inner>);

impl Whole {
    pub(crate) fn get(&self) -> Option<App> {
        self.0.upgrade().map(App)
    }
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    pub(crate) fn new(
        settings: WebSettings,
        aggregator: Aggregator,
        doorman: Doorman,
        endpoint: String,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Self {
        let metrics = Arc::clone(aggregator.metrics());
        let hosts = Hosts::of(&settings.server, lifecycle::sys::host_name().as_deref());
        Self(Arc::new_cyclic(|whole| Inner {
            kept: Kept::new(Whole(whole.clone()), aggregator.clone(), Arc::clone(&clock)),
            settings,
            aggregator,
            endpoint,
            doorman,
            hosts,
            clock,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            metrics,
            webhook_room: Room::default(),
            stop,
            live: Mutex::new(Live::Loading),
            nav: Mutex::default(),
        }))
    }

    /// Takes over what `before` has to show and this has not, as far as these settings let the same be shown.
    pub(crate) fn inherit(&self, before: &Self) {
        if self.endpoint != before.endpoint || self.settings.ui.show_people != before.settings.ui.show_people
        {
            return;
        }
        self.kept.inherit(&before.kept);
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if *live == Live::Loading {
            *live = *before.live.lock().unwrap_or_else(PoisonError::into_inner);
            *self.nav.lock().unwrap_or_else(PoisonError::into_inner) =
                before.nav.lock().unwrap_or_else(PoisonError::into_inner).clone();
        }
    }

    /// `server.base_path` without a slash at its end: empty for `/`.
    pub(crate) fn base(&self) -> &str {
        self.settings.server.base_path.trim_end_matches('/')
    }

    /// Live connections now.
    pub(crate) fn open_streams(&self) -> usize {
        MAX_STREAMS.saturating_sub(self.streams.available_permits())
    }

    pub(crate) fn ctx(&self, moment: &Moment, sources: &[v1::Source], version: Option<String>) -> Ctx<'_> {
        self.ctx_with(
            moment.now,
            moment.as_of.map_or_else(|| Live::from_sources(sources), Live::AsOf),
            version,
        )
    }

    /// For a page that does not ask how the sources are: as they last said.
    pub(crate) fn ctx_as_known(&self, moment: &Moment) -> Ctx<'_> {
        let live = *self.live.lock().unwrap_or_else(PoisonError::into_inner);
        self.ctx_with(moment.now, moment.as_of.map_or(live, Live::AsOf), None)
    }

    fn ctx_with(&self, now: Timestamp, live: Live, version: Option<String>) -> Ctx<'_> {
        Ctx {
            now,
            base_path: self.base(),
            title: &self.settings.ui.title,
            show_people: self.settings.ui.show_people,
            refresh: self.settings.ui.refresh_interval,
            live,
            nav: self.nav.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            version,
            door: Door {
                wide_open: self.settings.auth.is_open_on(&self.settings.server.host),
                sign_out: self.doorman.has_sign_in(),
            },
        }
    }

    /// Remembers how the sources are.
    pub(crate) fn saw_sources(&self, sources: &[v1::Source]) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Live::from_sources(sources);
        *self.nav.lock().unwrap_or_else(PoisonError::into_inner) = Nav::from_sources(sources);
    }

    /// The page of a failure, for `visitor`.
    pub(crate) fn error_page(&self, failure: &Failure, visitor: &Visitor) -> String {
        let page = pages::ErrorPage {
            status: failure.status.as_u16(),
            title: failure.title,
            text: &failure.detail,
            hint: failure.hint.as_deref(),
            request_id: failure.request_id.as_deref(),
        };
        let html = if visitor.is_let_in() {
            self.error_among_pages(&page)
        } else {
            pages::refusal(self.base(), &self.settings.ui.title, &page)
        };
        html.unwrap_or_else(|error| {
            tracing::error!(%error, "the error page could not be written");
            failure.title.to_owned()
        })
    }

    fn error_among_pages(&self, page: &pages::ErrorPage<'_>) -> Result<String, askama::Error> {
        let link = self.aggregator.state();
        let live = match link.phase {
            Phase::Lost => Live::AsOf(link.since),
            Phase::Connecting => Live::Loading,
            Phase::Connected => *self.live.lock().unwrap_or_else(PoisonError::into_inner),
        };
        let ctx = self.ctx_with(self.clock.now(), live, link.version.map(|v| v.to_string()));
        pages::error(&ctx, page)
    }
}
