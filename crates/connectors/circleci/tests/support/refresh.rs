//! Asking as the refresh loop does.

use std::sync::Arc;

use connector::{Connector, Heads, HeadsAsk, Result};
use domain::{Pipeline, Project};

use crate::support::ask;

/// Asks again, knowing what was answered, bounded as the board keeps it.
pub(crate) fn again(project: &Project, heads: &Heads) -> HeadsAsk {
    HeadsAsk {
        known: heads.pipelines.iter().cloned().map(Pipeline::bounded).map(Arc::new).collect(),
        known_head: heads.default_branch.clone().map(|head| (head.bounded(), project.last_activity_at)),
        ..ask(project)
    }
}

/// All projects, over all pages, and what the listing told of them.
pub(crate) async fn listed(source: &dyn Connector) -> Result<Vec<(Project, Option<Heads>)>> {
    let (mut all, mut page) = (Vec::new(), None);
    loop {
        let mut answer = source.projects(page).await?;
        for project in answer.items {
            let told = answer.told.remove(&project.key.id);
            all.push((project, told));
        }
        match answer.next {
            Some(next) => page = Some(next),
            None => return Ok(all),
        }
    }
}
