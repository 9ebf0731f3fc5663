//! Whether a project that is no row becomes one because a webhook tells of it.

use config::SourceSettings;
use domain::Project;

use crate::refresh::Plan;

/// What a source's settings say about it, as far as it can be told from a name.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    plan: Plan,
    /// The groups, organizations or folders that the source is narrowed to.
    below: Vec<String>,
}

impl Wanted {
    pub(super) fn new(plan: Plan, source: &SourceSettings) -> Self {
        let lists = [&source.groups, &source.organizations, &source.workspaces, &source.folders];
        let below = lists.into_iter().flatten().map(|b| b.trim().trim_matches('/').to_owned()).collect();
        Self { plan, below }
    }

    /// Whether it is watched by name.
    pub(super) fn named(&self, project: &Project) -> bool {
        self.plan.watched.is_named(project)
    }

    /// Whether the source would show it, were it listed. What cannot be told from its name (a group by its number) is
    /// left to the listing.
    pub(super) fn lets_in(&self, project: &Project) -> bool {
        let is_below = |folder: &String| {
            let rest = project.name.get(folder.len()..).filter(|rest| rest.starts_with('/'));
            rest.is_some() && project.name.get(..folder.len()).is_some_and(|f| f.eq_ignore_ascii_case(folder))
        };
        let here = self.below.is_empty() || self.named(project) || self.below.iter().any(is_below);
        here && self.plan.lets_in(project)
    }
}
