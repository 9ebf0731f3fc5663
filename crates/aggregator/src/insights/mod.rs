//! What history teaches, over gRPC: checks the question, asks history, and gives the answer as it is.
//!
//! What the words mean is [`history::answers`]' business. History may be off, being opened, or away: then the answer says
//! which, and nobody waits for long.

mod ask;
mod wire;

use std::sync::Arc;

use api::v1;
use api::v1::stats_service_server::StatsService;
use domain::{Patterns, ProjectKey};
use history::History;
use history::answers::{Ask, DeploymentRule, Figures, Ranking, RunOf};
use tonic::{Request, Response, Status};

use crate::archive::Archive;
use crate::asking::{kept, within};
use crate::hub::Hub;
use crate::query::{self, Paging};

/// Answers questions to history.
#[derive(Debug)]
pub struct Insights {
    /// History, or that there is none.
    pub archive: Arc<Archive>,
    /// Who knows names and the time.
    pub hub: Arc<Hub>,
    /// Workflows and jobs that deploy.
    pub deployments: Patterns,
}

type Answer<T> = Result<Response<T>, Status>;

impl Insights {
    fn history(&self) -> Result<Arc<dyn History>, Status> {
        kept(&self.archive)
    }

    fn ask(&self, scope: Option<v1::StatsScope>) -> Result<Ask, Status> {
        let scope = scope.unwrap_or_default();
        let mut ask = ask::ask(&scope, self.hub.clock().now())?;
        // Asked for by its full name, it is known by its id; one that has left the platform is in history still.
        if let Some(asked) = &mut ask.project {
            let known = self
                .hub
                .read(|p| p.board.find(&asked.source, asked.id.as_str()).map(|e| e.project.key.clone()));
            if let Some(known) = known {
                *asked = known;
            }
        }
        Ok(ask)
    }

    /// The name of a project, as far as the board has it; else its id.
    fn name(&self, key: &ProjectKey) -> String {
        let known = self.hub.read(|p| p.board.get(key).map(|e| e.project.name.clone()));
        known.unwrap_or_else(|| key.id.to_string())
    }

    fn run_ref(&self, of: &RunOf) -> v1::RunRef {
        v1::RunRef {
            project: Some((&of.project).into()),
            run_id: of.run.to_string(),
            project_name: self.name(&of.project),
            number: of.number,
        }
    }
}

/// The figures of each source, or of all sources of each platform.
async fn figures_of(
    history: &dyn History,
    ask: &Ask,
    of: ask::Ranked,
    names: Vec<String>,
) -> history::Result<Vec<(String, Figures)>> {
    let mut parts = Vec::with_capacity(names.len());
    for name in names {
        let figures = history.figures(&ask::of_part(ask, of, &name)).await?;
        parts.push((name, figures));
    }
    Ok(parts)
}

#[tonic::async_trait]
impl StatsService for Insights {
    async fn get_stats(&self, request: Request<v1::GetStatsRequest>) -> Answer<v1::GetStatsResponse> {
        let ask = self.ask(request.into_inner().scope)?;
        let history = self.history()?;
        let past = ask::before(&ask);
        let (course, before) =
            within(async { tokio::try_join!(history.course(&ask), history.figures(&past)) }).await?;
        Ok(Response::new(v1::GetStatsResponse {
            window: Some(wire::window(ask.window)),
            figures: Some(wire::figures(&course.figures)),
            before_window: Some(wire::window(past.window)),
            before: Some(wire::figures(&before)),
            days: course.days.iter().map(wire::day).collect(),
            duration_trend: course.duration_trend,
            queued_trend: course.queued_trend,
            history: Some(query::history(&self.archive.standing())),
        }))
    }

    async fn get_heat(&self, request: Request<v1::GetHeatRequest>) -> Answer<v1::GetHeatResponse> {
        let ask = self.ask(request.into_inner().scope)?;
        let heat = within(self.history()?.heat(&ask)).await?;
        Ok(Response::new(v1::GetHeatResponse {
            window: Some(wire::window(ask.window)),
            hours: wire::hours(&heat),
        }))
    }

    async fn rank_stats(&self, request: Request<v1::RankStatsRequest>) -> Answer<v1::RankStatsResponse> {
        let mut request = request.into_inner();
        let ask = self.ask(request.scope.take())?;
        let (of, by) = (ask::ranked(&request.of)?, ask::order(&request.by)?);
        let (min_runs, limit) = (ask::min_runs(request.min_runs), ask::limit(request.limit)?);
        let history = self.history()?;
        let ranked = match of {
            ask::Ranked::InProjects(of) => {
                let ranking = Ranking { of, by, min_runs, limit };
                let ranked = within(history.ranking(&ask, &ranking)).await?;
                ranked.into_iter().map(wire::ranked).collect()
            }
            of => {
                let names = self.hub.read(|p| ask::parts(of, &ask, p.sources.values()));
                let mut parts = within(figures_of(&*history, &ask, of, names)).await?;
                parts.retain(|(_, figures)| by.counts(figures) >= min_runs);
                parts.sort_by_key(|(_, figures)| std::cmp::Reverse(by.weight(figures)));
                parts.into_iter().take(limit).map(wire::part).collect()
            }
        };
        Ok(Response::new(v1::RankStatsResponse { window: Some(wire::window(ask.window)), ranked, min_runs }))
    }

    async fn list_broken(&self, request: Request<v1::ListBrokenRequest>) -> Answer<v1::ListBrokenResponse> {
        let ask = self.ask(request.into_inner().scope)?;
        let broken = within(self.history()?.broken(&ask)).await?;
        Ok(Response::new(v1::ListBrokenResponse {
            window: Some(wire::window(ask.window)),
            broken: broken.into_iter().map(wire::broken).collect(),
        }))
    }

    async fn list_flaky(&self, request: Request<v1::ListFlakyRequest>) -> Answer<v1::ListFlakyResponse> {
        let request = request.into_inner();
        let ask = self.ask(request.scope)?;
        let limit = ask::limit(request.limit)?;
        let flaky = within(self.history()?.flaky(&ask)).await?;
        let (flaky_runs, wasted) = wire::waste(&flaky);
        Ok(Response::new(v1::ListFlakyResponse {
            window: Some(wire::window(ask.window)),
            total: flaky.len() as u64,
            flaky_runs,
            wasted: Some(api::duration(wasted)),
            flaky: flaky.into_iter().take(limit).map(wire::flaky).collect(),
        }))
    }

    async fn list_failure_groups(
        &self,
        request: Request<v1::ListFailureGroupsRequest>,
    ) -> Answer<v1::ListFailureGroupsResponse> {
        let request = request.into_inner();
        let ask = self.ask(request.scope)?;
        let limit = ask::limit(request.limit)?;
        let groups = within(self.history()?.failure_groups(&ask, limit)).await?;
        let group = |group| wire::failure_group(group, |key| self.name(key));
        Ok(Response::new(v1::ListFailureGroupsResponse {
            window: Some(wire::window(ask.window)),
            groups: groups.into_iter().map(group).collect(),
        }))
    }

    async fn get_delivery(
        &self,
        request: Request<v1::GetDeliveryRequest>,
    ) -> Answer<v1::GetDeliveryResponse> {
        let ask = self.ask(request.into_inner().scope)?;
        let rule = DeploymentRule { names: self.deployments.clone() };
        let found = within(self.history()?.delivery(&ask, &rule)).await?;
        let refs = |runs: &[RunOf]| runs.iter().map(|run| self.run_ref(run)).collect();
        Ok(Response::new(v1::GetDeliveryResponse {
            window: Some(wire::window(ask.window)),
            rule: rule.names.texts().to_vec(),
            failed: refs(&found.failed),
            deployed: refs(&found.deployed),
            restored: refs(&found.restored),
            turned_green: refs(&found.turned_green),
            led: refs(&found.led),
            ..wire::delivery(&found)
        }))
    }

    async fn list_runs_behind(
        &self,
        request: Request<v1::ListRunsBehindRequest>,
    ) -> Answer<v1::ListRunsBehindResponse> {
        let mut request = request.into_inner();
        let ask = self.ask(request.scope.take())?;
        let paging = Paging::new(request.page, request.per_page)?;
        let behind = ask::behind(request)?;
        let (skip, size) = ask::part(paging)?;
        // One more tells whether there is a further page.
        let mut runs = within(self.history()?.behind(&ask, &behind, skip, size + 1)).await?;
        let more = runs.len() > size;
        runs.truncate(size);
        let run = |(key, run): &(ProjectKey, domain::Pipeline)| v1::RunBehind {
            run: Some(api::pipeline(key, run)),
            project_name: self.name(key),
        };
        Ok(Response::new(v1::ListRunsBehindResponse {
            window: Some(wire::window(ask.window)),
            runs: runs.iter().map(run).collect(),
            page: paging.page,
            per_page: paging.per_page,
            more,
        }))
    }
}
