//! Open merge requests and issues of all projects, held in memory beside the board.
//!
//! [`Keeper`] reads them in the background, a source at a time and few requests at a time: [`due`] says which list is to
//! be read next and when. [`Work`] holds what was read; a list is answered from it at once, old while a newer one is on
//! its way. [`Attention`] knows who looks, for whom reading goes faster.
//!
//! Pipelines come first: where a source's rate limit gets short, the lists wait ([`keeper`]).

mod attention;
pub mod due;
pub mod keeper;
mod kept;

use connector::{Connector, Issue, MergeRequest, Page, PageToken, Result};
use domain::Project;

pub use attention::Attention;
pub use keeper::Keeper;
pub use kept::{Kept, Lists, Mark, Told, Work};

/// How many open ones of a project are kept, of each kind: the last touched.
pub const MAX_OF_PROJECT: usize = 300;
/// How many pages are read to find them; a platform that lists pull requests among issues fills pages with those.
pub const MAX_PAGES: usize = 3;
/// How many are kept in all, of each kind. What a project has beyond that is not shown, and said to be missing.
pub const MAX_IN_ALL: usize = 10_000;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Merge or pull requests.
    MergeRequests,
    /// Issues.
    Issues,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::MergeRequests, Self::Issues];

    /// Plural, for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MergeRequests => "merge requests",
            Self::Issues => "issues",
        }
    }

    /// Whether the platform of this source has any.
    #[must_use]
    pub fn is_of(self, connector: &dyn Connector) -> bool {
        match self {
            Self::MergeRequests => connector.merge_requests().is_some(),
            Self::Issues => connector.issues().is_some(),
        }
    }
}

/// What such a list holds: lets both kinds be read and kept by the same code.
#[expect(async_fn_in_trait, reason = "implemented here only, for futures that are never boxed")]
pub trait Item: Clone + PartialEq + Send + Sync + 'static {
    /// Which kind.
    const KIND: Kind;

    /// Reads a page of the open ones, last touched first.
    ///
    /// # Errors
    /// As the connector says.
    async fn page(
        connector: &dyn Connector,
        project: &Project,
        page: Option<PageToken>,
    ) -> Result<Page<Self>>;

    /// The same, bounded and harmless.
    #[must_use]
    fn bounded(self) -> Self;

    /// The lists of this kind.
    fn lists(work: &Work) -> &Lists<Self>;

    /// The same, to be changed.
    fn lists_mut(work: &mut Work) -> &mut Lists<Self>;
}

/// A platform without the part has no items.
const fn nothing<T>() -> Page<T> {
    Page { items: Vec::new(), next: None }
}

impl Item for MergeRequest {
    const KIND: Kind = Kind::MergeRequests;

    async fn page(
        connector: &dyn Connector,
        project: &Project,
        page: Option<PageToken>,
    ) -> Result<Page<Self>> {
        let Some(part) = connector.merge_requests() else { return Ok(nothing()) };
        part.open_merge_requests(project, page).await
    }

    fn bounded(self) -> Self {
        Self::bounded(self)
    }

    fn lists(work: &Work) -> &Lists<Self> {
        &work.merge_requests
    }

    fn lists_mut(work: &mut Work) -> &mut Lists<Self> {
        &mut work.merge_requests
    }
}

impl Item for Issue {
    const KIND: Kind = Kind::Issues;

    async fn page(
        connector: &dyn Connector,
        project: &Project,
        page: Option<PageToken>,
    ) -> Result<Page<Self>> {
        let Some(part) = connector.issues() else { return Ok(nothing()) };
        part.open_issues(project, page).await
    }

    fn bounded(self) -> Self {
        Self::bounded(self)
    }

    fn lists(work: &Work) -> &Lists<Self> {
        &work.issues
    }

    fn lists_mut(work: &mut Work) -> &mut Lists<Self> {
        &mut work.issues
    }
}
