//! Open issues, of one project or of all.

use api::v1;
use connector::Issue;

use super::runs::key;
use super::work::{Asked, Row, Scope, count, missing, rows};
use super::{BadQuery, Paging, Terms, direction};
use crate::work::Item as _;

/// A question for issues, checked.
#[derive(Debug, Clone)]
pub struct IssueQuery {
    scope: Scope,
    wanted: Vec<Wanted>,
    sort: Sort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Updated,
    Created,
    Name,
}

/// One word of a `status` filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Open,
    Assigned,
    Unassigned,
}

impl TryFrom<v1::ListIssuesRequest> for IssueQuery {
    type Error = BadQuery;
    fn try_from(r: v1::ListIssuesRequest) -> Result<Self, BadQuery> {
        let (word, reverse) = direction(&r.sort);
        let sort = match word {
            "" | "updated" => Sort::Updated,
            "created" => Sort::Created,
            "name" => Sort::Name,
            _ => return Err(BadQuery(format!("{word:?} is no sort: one of updated, created, name"))),
        };
        let wanted = |word: &String| match word.as_str() {
            "open" => Ok(Wanted::Open),
            "assigned" => Ok(Wanted::Assigned),
            "unassigned" => Ok(Wanted::Unassigned),
            _ => Err(BadQuery(format!("{word:?} is no status: one of open, assigned, unassigned"))),
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
            wanted: r.statuses.iter().map(wanted).collect::<Result<_, _>>()?,
            sort,
        })
    }
}

impl IssueQuery {
    /// Of this project only.
    #[must_use]
    pub const fn project(&self) -> Option<&domain::ProjectKey> {
        self.scope.project.as_ref()
    }
}

type IssueRow<'a> = Row<'a, Issue>;

fn is_mine(row: &IssueRow<'_>) -> bool {
    row.is_me(row.item.author.as_ref()) || is_wanted(row)
}

/// It is mine to do.
fn is_wanted(row: &IssueRow<'_>) -> bool {
    row.am_among(&row.item.assignees)
}

fn is(row: &IssueRow<'_>, wanted: Wanted) -> bool {
    match wanted {
        Wanted::Open => row.item.open,
        Wanted::Assigned => !row.item.assignees.is_empty(),
        Wanted::Unassigned => row.item.assignees.is_empty(),
    }
}

fn texts(item: &Issue) -> Vec<&str> {
    let mut texts = vec![item.title.as_str(), item.id.as_str()];
    texts.extend(item.labels.iter().map(String::as_str));
    for person in item.author.iter().chain(&item.assignees) {
        texts.push(&person.name);
        texts.extend(person.login.as_deref());
    }
    texts
}

/// Answers the question from one state of the lists.
#[must_use]
pub fn list_issues(query: &IssueQuery, asked: Asked<'_>) -> v1::ListIssuesResponse {
    let present = asked.present;
    let all = rows::<Issue>(&query.scope, &asked, texts);
    let missing = missing::<Issue>(&query.scope, &asked);
    let summary = v1::WorkSummary {
        total: count(&all, |_| true),
        mine: count(&all, is_mine),
        wanted: count(&all, is_wanted),
        unassigned: count(&all, |r| is(r, Wanted::Unassigned)),
        everything: u32::try_from(Issue::lists(&present.work).held()).unwrap_or(u32::MAX),
        not_asked: missing.not_asked,
        unread: missing.unread,
        ..v1::WorkSummary::default()
    };
    let mut listed: Vec<_> = all
        .into_iter()
        .filter(|row| {
            (!query.scope.mine || is_mine(row))
                && (query.wanted.is_empty() || query.wanted.iter().any(|w| is(row, *w)))
        })
        .collect();
    listed.sort_by_cached_key(|row| {
        let item = row.item;
        (std::cmp::Reverse(item.updated_at.or(item.created_at)), row.entry.project.key.clone(), item.number)
    });
    match query.sort {
        Sort::Updated => {}
        Sort::Created => listed.sort_by_key(|row| std::cmp::Reverse(row.item.created_at)),
        Sort::Name => listed.sort_by_cached_key(|row| row.entry.project.name.to_lowercase()),
    }
    if query.scope.reverse {
        listed.reverse();
    }
    let (total, page) = query.scope.paging.cut(listed);
    v1::ListIssuesResponse {
        issues: page.iter().map(write).collect(),
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

fn write(row: &IssueRow<'_>) -> v1::Issue {
    let (item, project) = (row.item, &row.entry.project);
    v1::Issue {
        project: Some((&project.key).into()),
        platform: project.platform.to_string(),
        project_name: project.name.clone(),
        id: item.id.clone(),
        number: item.number,
        title: item.title.clone(),
        state: if item.open { "open" } else { "closed" }.to_owned(),
        author: item.author.as_ref().map(api::person),
        assignees: item.assignees.iter().map(api::person).collect(),
        labels: item.labels.clone(),
        created_at: item.created_at.map(api::timestamp),
        updated_at: item.updated_at.map(api::timestamp),
        url: item.url.as_ref().map(ToString::to_string),
        mine: is_mine(row),
        assigned_to_me: is_wanted(row),
        as_of: row.as_of.map(api::timestamp),
    }
}
