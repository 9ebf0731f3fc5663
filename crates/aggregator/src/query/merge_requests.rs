//! Open merge requests, of one project or of all.

use api::v1;
use connector::{MergeRequest, MergeRequestState};
use domain::{Activity, Outcome};

use super::runs::key;
use super::wire::state_of;
use super::work::{Asked, Row, Scope, count, missing, rows};
use super::{BadQuery, Paging, Terms, Wanted, direction};
use crate::board::{Rules, Shown};
use crate::work::Item as _;

/// A question for merge requests, checked.
#[derive(Debug, Clone)]
pub struct MergeRequestQuery {
    scope: Scope,
    wanted: Vec<Wanted>,
    draft: Option<bool>,
    sort: Sort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Updated,
    Created,
    Status,
    Name,
}

impl TryFrom<v1::ListMergeRequestsRequest> for MergeRequestQuery {
    type Error = BadQuery;
    fn try_from(r: v1::ListMergeRequestsRequest) -> Result<Self, BadQuery> {
        let (word, reverse) = direction(&r.sort);
        let sort = match word {
            "" | "updated" => Sort::Updated,
            "created" => Sort::Created,
            "status" => Sort::Status,
            "name" => Sort::Name,
            _ => return Err(BadQuery(format!("{word:?} is no sort: one of updated, created, status, name"))),
        };
        Ok(Self {
            scope: Scope {
                project: key(r.project.as_ref())?,
                terms: Terms::new(&r.q),
                sources: r.sources,
                platforms: r.platforms,
                mine: r.mine,
                reverse,
                paging: Paging::new(r.page, r.per_page)?,
            },
            wanted: Wanted::parse_all(&r.statuses)?,
            draft: r.draft,
            sort,
        })
    }
}

impl MergeRequestQuery {
    /// Of this project only.
    #[must_use]
    pub const fn project(&self) -> Option<&domain::ProjectKey> {
        self.scope.project.as_ref()
    }
}

/// One with the state of its newest commit.
struct Faced<'a> {
    row: Row<'a, MergeRequest>,
    shown: Shown,
    outcome: Option<Outcome>,
    activity: Option<Activity>,
}

impl Faced<'_> {
    fn is_mine(&self) -> bool {
        self.row.is_me(self.row.item.author.as_ref()) || self.is_wanted()
    }

    /// My review is asked for.
    fn is_wanted(&self) -> bool {
        self.row.am_among(&self.row.item.reviewers)
    }

    fn is_blocked(&self) -> bool {
        self.row.item.mergeable == Some(false) && !self.row.item.draft
    }

    fn is(&self, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Outcome(o) => self.outcome == Some(o),
            Wanted::Activity(a) => self.activity == Some(a),
            Wanted::Active => self.activity.is_some(),
            Wanted::Waiting => self.shown.rollup.waiting.is_some(),
            Wanted::NoData => self.outcome.is_none(),
        }
    }
}

fn faced<'a>(row: Row<'a, MergeRequest>, rules: &Rules) -> Faced<'a> {
    let shown = row.entry.commit_state(row.item.sha.as_deref(), &row.item.source_branch, rules);
    let (mut outcome, mut activity) = (shown.rollup.outcome, shown.rollup.activity);
    // What the platform says beside it is of all its workflows, known to us or not. What goes on hides no verdict.
    if let Some(status) = row.item.head_status {
        outcome = Outcome::of(status).or(outcome);
        activity = Activity::of(status);
    }
    Faced { row, shown, outcome, activity }
}

fn texts(item: &MergeRequest) -> Vec<&str> {
    let mut texts =
        vec![item.title.as_str(), item.source_branch.as_str(), item.target_branch.as_str(), item.id.as_str()];
    texts.extend(item.sha.as_deref());
    texts.extend(item.labels.iter().map(String::as_str));
    for person in item.author.iter().chain(&item.reviewers) {
        texts.push(&person.name);
        texts.extend(person.login.as_deref());
    }
    texts
}

/// Answers the question from one state of board and lists.
#[must_use]
pub fn list_merge_requests(query: &MergeRequestQuery, asked: Asked<'_>) -> v1::ListMergeRequestsResponse {
    let present = asked.present;
    let default_rules = Rules::default();
    let rules = |row: &Row<'_, MergeRequest>| {
        present.board.rules(&row.entry.project.key.source).unwrap_or(&default_rules)
    };
    let all: Vec<_> = rows::<MergeRequest>(&query.scope, &asked, texts)
        .into_iter()
        .map(|row| {
            let rules = rules(&row);
            faced(row, rules)
        })
        .collect();
    let missing = missing::<MergeRequest>(&query.scope, &asked);
    let summary = v1::WorkSummary {
        total: count(&all, |_| true),
        mine: count(&all, Faced::is_mine),
        wanted: count(&all, Faced::is_wanted),
        failed: count(&all, |f| f.outcome == Some(Outcome::Failed)),
        green: count(&all, |f| f.outcome == Some(Outcome::Success)),
        active: count(&all, |f| f.activity.is_some()),
        drafts: count(&all, |f| f.row.item.draft),
        blocked: count(&all, Faced::is_blocked),
        everything: u32::try_from(MergeRequest::lists(&present.work).held()).unwrap_or(u32::MAX),
        not_asked: missing.not_asked,
        unread: missing.unread,
        ..v1::WorkSummary::default()
    };
    let mut listed: Vec<_> = all
        .into_iter()
        .filter(|f| {
            (!query.scope.mine || f.is_mine())
                && query.draft.is_none_or(|draft| f.row.item.draft == draft)
                && (query.wanted.is_empty() || query.wanted.iter().any(|w| f.is(*w)))
        })
        .collect();
    listed.sort_by_cached_key(|f| {
        let item = f.row.item;
        (std::cmp::Reverse(item.updated_at.or(item.created_at)), f.row.entry.project.key.clone(), item.number)
    });
    match query.sort {
        Sort::Updated => {}
        Sort::Created => listed.sort_by_key(|f| std::cmp::Reverse(f.row.item.created_at)),
        Sort::Status => listed.sort_by_key(|f| std::cmp::Reverse((f.outcome, f.activity))),
        Sort::Name => listed.sort_by_cached_key(|f| f.row.entry.project.name.to_lowercase()),
    }
    if query.scope.reverse {
        listed.reverse();
    }
    let (total, page) = query.scope.paging.cut(listed);
    v1::ListMergeRequestsResponse {
        merge_requests: page.iter().map(write).collect(),
        total,
        page: query.scope.paging.page,
        per_page: query.scope.paging.per_page,
        version: Some(present.board.version().into()),
        loading: missing.loading,
        problems: missing.problems,
        summary: Some(summary),
        sources: asked.sources,
    }
}

fn write(f: &Faced<'_>) -> v1::MergeRequest {
    let (item, project) = (f.row.item, &f.row.entry.project);
    // Its strip is of one commit: nothing to draw.
    let head = v1::BranchState { strip: Vec::new(), ..state_of(f.row.entry, &f.shown) };
    v1::MergeRequest {
        project: Some((&project.key).into()),
        platform: project.platform.to_string(),
        project_name: project.name.clone(),
        id: item.id.clone(),
        number: item.number,
        title: item.title.clone(),
        state: match item.state {
            MergeRequestState::Open => "open",
            MergeRequestState::Merged => "merged",
            MergeRequestState::Closed => "closed",
        }
        .to_owned(),
        draft: item.draft,
        author: item.author.as_ref().map(api::person),
        reviewers: item.reviewers.iter().map(api::person).collect(),
        labels: item.labels.clone(),
        source_branch: item.source_branch.clone(),
        target_branch: item.target_branch.clone(),
        sha: item.sha.clone(),
        outcome: f.outcome.map_or(v1::Outcome::Unspecified, Into::into).into(),
        activity: f.activity.map_or(v1::Activity::Unspecified, Into::into).into(),
        mergeable: item.mergeable,
        created_at: item.created_at.map(api::timestamp),
        updated_at: item.updated_at.map(api::timestamp),
        url: item.url.as_ref().map(ToString::to_string),
        head: Some(head).filter(|_| !f.shown.runs.is_empty()),
        mine: f.is_mine(),
        review_wanted: f.is_wanted(),
        as_of: f.row.as_of.map(api::timestamp),
    }
}
