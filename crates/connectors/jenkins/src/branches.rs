//! The branches of a multibranch job. Any other job has none.

use connector::{Error, Page, PageToken, Result};
use domain::{Branch, Project};

use crate::source::Jenkins;
use crate::wire::{Item, Kind};
use crate::{base, convert, tree};

/// Branches a page: each is read with its newest build, from Jenkins' disk.
const PER_PAGE: usize = 100;

impl Jenkins {
    /// A page of branches, each with the commit of its newest build.
    pub(crate) async fn list_branches(
        &self,
        project: &Project,
        page: Option<PageToken>,
    ) -> Result<Page<Branch>> {
        let from = match page {
            Some(token) => token.0.parse().map_err(|_| Error::Garbage("page token: no number".to_owned()))?,
            None => 0_usize,
        };
        let item = self.item(project.key.id.as_str(), &tree::branches(from, PER_PAGE)).await?;
        if item.kind() != Kind::Multibranch {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let jobs = item.jobs.unwrap_or_default();
        let full = jobs.items.len() + jobs.broken >= PER_PAGE;
        let now = self.clock.now();
        // Neither branches that are gone, nor pull requests, which are somebody's branch to be merged.
        let is_branch =
            |job: &&Item| !job.is_disabled() && !job.name.as_deref().is_some_and(base::is_change_request);
        let alive = jobs.items.iter().filter(is_branch);
        Ok(Page {
            items: alive.filter_map(|job| convert::branch(project, &self.root, job, now)).collect(),
            next: full.then(|| PageToken((from + PER_PAGE).to_string())),
        })
    }

    /// The stored name of a branch. Which characters Jenkins encoded is its affair, so the names are read and compared.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no child is called so.
    pub(crate) async fn child_of(&self, project: &Project, branch: &str) -> Result<String> {
        let item = self.item(project.key.id.as_str(), tree::NAMES).await?;
        let names = item.jobs.into_iter().flat_map(|jobs| jobs.items).filter_map(|job| job.name);
        let found = names.into_iter().find(|name| base::display(name) == branch);
        found.ok_or_else(|| Error::NotFound(format!("{} has no branch {branch:?}", project.name)))
    }
}
