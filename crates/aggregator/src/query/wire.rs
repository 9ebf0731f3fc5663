//! From the board to the wire.

use api::v1;
use connector::Connector;
use domain::stats::{self, Estimate};
use domain::{Branch, Pipeline, ProjectKey, Rollup};

use super::schedule::budget;
use crate::archive::Standing;
use crate::board::{Entry, Shown};
use crate::sources::{Owner, Source, State};
use crate::webhooks::Health;

/// A run with how long it is expected to take, if it is active.
#[must_use]
pub fn pipeline_with_estimate(entry: &Entry, run: &Pipeline) -> v1::Pipeline {
    let mut wire = api::pipeline(&entry.project.key, run);
    if run.status.is_active() {
        let of_branch = entry.runs().iter().filter(|r| r.branch == run.branch).map(AsRef::as_ref);
        let all = entry.runs().iter().map(AsRef::as_ref);
        let lane = run.workflow.lane.as_str();
        expect(&mut wire, stats::estimate(lane, of_branch).or_else(|| stats::estimate(lane, all)));
        // Until there are enough of ours, what the platform says by itself.
        wire.expected_duration = wire.expected_duration.or_else(|| run.expected.map(api::duration));
    }
    wire
}

/// Says how long the run is expected to take, where that can be told.
pub fn expect(wire: &mut v1::Pipeline, estimate: Option<Estimate>) {
    let Some(estimate) = estimate else { return };
    wire.expected_duration = Some(api::duration(estimate.median));
    wire.overdue_after = Some(api::duration(estimate.p95));
    wire.expected_of = u32::try_from(estimate.of).unwrap_or(u32::MAX);
}

/// How history is.
#[must_use]
pub fn history(standing: &Standing) -> v1::History {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    v1::History {
        state: standing.condition.as_str().to_owned(),
        engine: standing.engine.clone(),
        error: standing.error.clone(),
        failing_since: standing.since.map(api::timestamp),
        waiting: count(standing.waiting),
        behind: count(standing.behind),
    }
}

/// How Redis is, and how many entries wait for it; without it the cache is in memory alone.
#[must_use]
pub fn cache(mirror: Option<(cache::redis::Standing, usize)>) -> v1::Cache {
    use cache::redis::Condition;
    let Some((standing, waiting)) = mirror else {
        return v1::Cache { state: "off".to_owned(), ..v1::Cache::default() };
    };
    let state = match standing.condition {
        Condition::Opening => "opening",
        Condition::Ok => "ok",
        Condition::Failing => "failing",
    };
    v1::Cache {
        state: state.to_owned(),
        engine: standing.engine,
        error: standing.error,
        failing_since: standing.since.map(api::timestamp),
        waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
    }
}

/// A branch of this project by name, with its newest commit as far as it is known: from the branch itself, else from
/// its newest run.
#[must_use]
pub(super) fn branch_of(entry: &Entry, name: &str) -> v1::Branch {
    if let Some(head) = entry.head().filter(|h| h.name == name) {
        return branch(&entry.project.key, head, entry.project.default_branch.as_deref());
    }
    let newest = entry.runs().iter().find(|r| r.branch.as_deref() == Some(name));
    v1::Branch {
        project: Some((&entry.project.key).into()),
        name: name.to_owned(),
        default: entry.project.default_branch.as_deref() == Some(name),
        sha: newest.and_then(|r| r.sha.clone()),
        author: newest.and_then(|r| r.author.as_ref()).map(api::person),
        message: newest.and_then(|r| r.message.clone()),
        ..v1::Branch::default()
    }
}

/// A branch as the platform told it.
#[must_use]
pub(super) fn branch(project: &ProjectKey, b: &Branch, default: Option<&str>) -> v1::Branch {
    v1::Branch {
        project: Some(project.into()),
        name: b.name.clone(),
        default: b.default || default == Some(b.name.as_str()),
        protected: b.protected,
        sha: b.sha.clone(),
        author: b.author.as_ref().map(api::person),
        message: b.message.clone(),
        committed_at: b.committed_at.map(api::timestamp),
        url: b.url.as_ref().map(ToString::to_string),
        state: None,
    }
}

/// The two faces of a branch and its figures.
#[must_use]
pub(super) fn state_of(entry: &Entry, shown: &Shown) -> v1::BranchState {
    let find = |id| shown.runs.iter().find(|r| &r.id == id).map(|r| pipeline_with_estimate(entry, r));
    let rollup = &shown.rollup;
    let mut lanes = std::collections::BTreeSet::new();
    let newest = shown.runs.iter().filter(|r| lanes.insert(r.workflow.lane.as_str()));
    let strip: Vec<_> = shown.runs.iter().take(stats::STRIP_RUNS).collect();
    v1::BranchState {
        outcome: rollup.outcome.map_or(v1::Outcome::Unspecified, Into::into).into(),
        activity: rollup.activity.map_or(v1::Activity::Unspecified, Into::into).into(),
        broken_since: rollup.broken_since.as_ref().map(|b| v1::BrokenSince {
            at: b.at.map(api::timestamp),
            run: find(&b.run),
            at_least: b.at_least,
            fix: b.fix.as_ref().and_then(&find),
        }),
        waiting: rollup.waiting.as_ref().and_then(&find),
        pipelines: newest.map(|r| pipeline_with_estimate(entry, r)).collect(),
        strip: strip
            .into_iter()
            .rev()
            .map(|r| v1::StripRun {
                id: r.id.to_string(),
                status: v1::Status::from(r.status).into(),
                duration: r.duration.map(api::duration),
                at: r.began().map(api::timestamp),
            })
            .collect(),
        median_duration: shown.median.map(api::duration),
        share_green: shown.share_green,
        share_of: u32::try_from(shown.share_of).unwrap_or(u32::MAX),
        last_change_at: shown.last_change_at.map(api::timestamp),
        reasons: reasons(entry, rollup),
        deciding: rollup.decided.first().and_then(|d| find(&d.run)),
    }
}

fn reasons(entry: &Entry, rollup: &Rollup) -> Vec<v1::Reason> {
    let reason = |id: &domain::RunId| {
        let run = entry.runs().iter().find(|r| &r.id == id);
        v1::Reason {
            run_id: id.to_string(),
            workflow: run.and_then(|r| r.workflow.name.clone()),
            url: run.and_then(|r| r.url.as_ref()).map(ToString::to_string),
            number: run.and_then(|r| r.number),
            ..v1::Reason::default()
        }
    };
    let decided = rollup
        .decided
        .iter()
        .map(|d| v1::Reason { outcome: v1::Outcome::from(d.outcome).into(), ..reason(&d.run) });
    let left_out = rollup.left_out.iter().map(|l| v1::Reason {
        left_out: l.reason.as_str().to_owned(),
        left_out_text: l.reason.in_words().to_owned(),
        ..reason(&l.run)
    });
    decided.chain(left_out).collect()
}

/// A source with the figures of its connector.
#[must_use]
pub fn source(s: &Source, connector: Option<&dyn Connector>, projects: usize) -> v1::Source {
    let state = match s.state {
        State::Loading => v1::SourceState::Loading,
        State::Ok => v1::SourceState::Ok,
        State::Limited => v1::SourceState::Limited,
        State::Failing => v1::SourceState::Failing,
        State::Down => v1::SourceState::Down,
    };
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    v1::Source {
        name: s.name.to_string(),
        platform: s.platform.to_owned(),
        url: s.url.clone(),
        state: state.into(),
        error: s.error.clone(),
        last_success_at: s.last_success_at.map(api::timestamp),
        projects: count(projects),
        budget: connector.and_then(Connector::budget).map(budget),
        requests_last_hour: connector.map_or(0, |c| c.traffic().last_hour),
        title: s.descriptor.map_or(s.platform, |d| d.title).to_owned(),
        icon: s.descriptor.map_or(s.platform, |d| d.icon).to_owned(),
        words: s.descriptor.map(|d| v1::Words {
            project: d.words.project.to_owned(),
            pipeline: d.words.pipeline.to_owned(),
            merge_request: d.words.merge_request.to_owned(),
        }),
        failing_since: s.failing_since.map(api::timestamp),
        next_try_at: s.next_try_at.map(api::timestamp),
        read: count(s.read),
        expected: s.expected.map(count),
        webhooks: s.webhooks.as_ref().map(webhooks),
        has_merge_requests: connector.is_some_and(|c| c.merge_requests().is_some()),
        has_issues: connector.is_some_and(|c| c.issues().is_some()),
        owner: s.owner.person().map(api::person),
        owner_known: s.owner.person().is_some(),
        sends_webhooks: connector.is_some_and(|c| c.webhooks().is_some()),
        token: s.token.as_ref().map(|t| v1::Token {
            scopes: t.scopes.clone(),
            writes: t.writes.clone(),
            expires_at: t.expires_at.map(api::timestamp),
        }),
        ..v1::Source::default()
    }
}

fn webhooks(h: &Health) -> v1::Webhooks {
    v1::Webhooks {
        last_at: h.last_at.map(api::timestamp),
        last_kind: h.last_kind.clone(),
        accepted: h.accepted,
        duplicate: h.duplicate,
        ignored: h.ignored,
        forged: h.forged,
        malformed: h.malformed,
        too_large: h.too_large,
        last_refused_at: h.last_refused_at.map(api::timestamp),
        last_refusal: h.last_refusal.clone(),
        not_kept: h.not_kept,
        last_not_kept_at: h.last_not_kept_at.map(api::timestamp),
        last_not_kept: h.last_not_kept.clone(),
    }
}

/// Whose a source's token is.
#[must_use]
pub fn me(s: &Source, connector: Option<&dyn Connector>) -> v1::CurrentUser {
    let tells = connector.is_some_and(|c| c.current_user().is_some());
    let error = match &s.owner {
        Owner::Unread(why) => why.clone().or_else(|| s.error.clone()),
        Owner::Nobody | Owner::Known(_) => None,
    };
    v1::CurrentUser {
        source: s.name.to_string(),
        platform: s.platform.to_owned(),
        person: s.owner.person().map(api::person),
        loading: tells && s.owner == Owner::Unread(None) && error.is_none(),
        error,
    }
}
