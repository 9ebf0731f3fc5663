//! What was deployed: GitLab makes a deployment of each job that has an environment.

use std::collections::BTreeMap;

use async_trait::async_trait;
use connector::{Deployed, Deployments, DeploymentsAsk, Result};
use domain::{Deployment, Project};

use crate::paging::{Listed, PER_PAGE, PER_PAGE_TEXT, list, page_url};
use crate::source::GitLab;
use crate::{convert, wire};

/// How many pages are read at most.
const MAX_PAGES: usize = Deployed::MAX / PER_PAGE;

impl GitLab {
    /// Which environments of a project are production: that stands with the environments alone. One page of them; a project that
    /// has more makes one for each branch, and these go by their names.
    async fn environments(&self, project: &Project) -> Result<BTreeMap<String, Option<bool>>> {
        let segments = ["projects", project.key.id.as_str(), "environments"];
        let url = self.client.url(&segments, &[("per_page", PER_PAGE_TEXT)]);
        match list::<wire::Environment>(&self.client, "GET /projects/:id/environments", url).await {
            Ok(listed) => {
                let tier = |e: wire::Environment| Some((e.name?, e.tier.map(|t| convert::is_production(&t))));
                Ok(listed.items.into_iter().filter_map(tier).collect())
            }
            // Their names tell enough.
            Err(error) if !error.concerns_source() => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Deployments for GitLab {
    async fn deployments(&self, ask: DeploymentsAsk<'_>) -> Result<Deployed> {
        let segments = ["projects", ask.project.key.id.as_str(), "deployments"];
        let since = ask.since.to_string();
        let query = [
            ("order_by", "updated_at"),
            ("sort", "desc"),
            ("updated_after", since.as_str()),
            ("per_page", PER_PAGE_TEXT),
        ];
        let (mut items, mut page) = (Vec::<Deployment>::new(), None);
        for _ in 0..MAX_PAGES {
            let url = page_url(&self.client, &segments, &query, page.as_deref());
            let listed: Listed<wire::Deployment> =
                list(&self.client, "GET /projects/:id/deployments", url).await?;
            items.extend(listed.items.iter().filter_map(convert::deployment));
            page = listed.next;
            if page.is_none() {
                break;
            }
        }
        items.truncate(Deployed::MAX);
        let mut told = BTreeMap::new();
        let is_new =
            |d: &&Deployment| d.production.is_none() && !ask.environments.contains_key(&d.environment);
        if items.iter().any(|d| is_new(&d)) {
            let all = self.environments(ask.project).await?;
            for d in items.iter().filter(is_new) {
                let production = all.get(&d.environment).copied().flatten();
                told.insert(d.environment.clone(), production);
            }
        }
        for d in &mut items {
            let of = |known: &BTreeMap<String, Option<bool>>| known.get(&d.environment).copied().flatten();
            d.production = d.production.or_else(|| of(&told)).or_else(|| of(ask.environments));
        }
        Ok(Deployed { items, environments: told })
    }
}
