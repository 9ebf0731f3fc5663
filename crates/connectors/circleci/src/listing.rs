//! Which projects there are.
//!
//! API v2 has no list of them: they are found by the pipelines of their organizations, newest first. So what was found once
//! is remembered – the only thing that this connector remembers beside its client – and a later listing reads an
//! organization's pipelines only until it meets one that the listing before has seen: usually one request, which also tells
//! which projects have moved. What has not run for long is found as well when the token's owner follows it: those v1.1 lists,
//! with their default branches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use connector::wire::Rows;
use connector::{Connector, Error, Heads, PageToken, ProjectPage, Result};
use domain::{Pipeline, Project, Timestamp};
use futures::StreamExt;
use futures::stream;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::base::Slug;
use crate::circleci::CircleCi;
use crate::{base, convert, wire};

const COLLABORATIONS: &str = "GET /me/collaborations";
const FOLLOWED: &str = "GET /api/v1.1/projects";
const OF_ORGANIZATION: &str = "GET /pipeline?org-slug";
/// Pages of an organization's pipelines that the first listing reads.
const FIRST_PAGES: usize = 10;
/// The same for later ones, which look for what they know.
const LATER_PAGES: usize = 5;
/// The most projects of one organization.
const MAX_PROJECTS: usize = 5_000;
/// How many of a project's newest pipelines are told to who reads its state.
pub(crate) const TOLD: usize = 20;
/// How often is read what changes rarely: the organizations, what is followed, and each other project for its default branch.
const PROJECT_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// Projects that are read at the same time.
const PROJECTS_AT_ONCE: usize = 8;

/// A project that a listing found.
#[derive(Debug, Clone)]
struct Found {
    project: Project,
    read_at: Timestamp,
}

/// An organization as listings have seen it.
#[derive(Debug, Clone, Default)]
struct Organization {
    /// By slug.
    projects: BTreeMap<String, Found>,
    /// Their newest pipelines, newest first.
    pipelines: BTreeMap<String, Vec<Pipeline>>,
    /// The pipelines of the newest page, by which the next listing knows that there is no gap.
    newest: BTreeSet<String>,
}

/// What listings have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// Which organizations to read, and when that was asked.
    organizations: Option<(Vec<String>, Timestamp)>,
    by_slug: BTreeMap<String, Organization>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what was read then need not be read again now. A clock that was put back makes nothing fresh for long.
fn is_fresh(read_at: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(read_at);
    !age.is_negative() && age < PROJECT_EVERY
}

/// Where in the listing of several organizations one is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct At {
    organizations: Vec<String>,
    next: usize,
    /// Organizations that could not be read. They are told at the end, so that they keep no other from being read.
    failed: Vec<String>,
}

impl At {
    fn token(&self) -> Result<PageToken> {
        let text = serde_json::to_string(self).map_err(|e| Error::Garbage(format!("page token: {e}")))?;
        Ok(PageToken(text))
    }
}

impl CircleCi {
    /// One organization a page.
    pub(crate) async fn list_projects(&self, page: Option<PageToken>) -> Result<ProjectPage> {
        let mut at = match page {
            Some(token) => serde_json::from_str(&token.0)
                .map_err(|e| Error::Garbage(format!("no page of this list: {e}")))?,
            None => At { organizations: self.all_organizations().await?, ..At::default() },
        };
        let mut page = ProjectPage::default();
        if let Some(organization) = at.organizations.get(at.next).cloned() {
            at.next += 1;
            match self.list_organization(&organization).await {
                Ok(listed) => page = listed,
                Err(e) if e.concerns_source() => return Err(e),
                // Not every organization of the owner's builds on CircleCI.
                Err(Error::NotFound(_) | Error::Forbidden(_)) if self.organizations.is_empty() => {}
                Err(e) => at.failed.push(format!("{organization}: {e}")),
            }
        } else if !at.failed.is_empty() {
            let failed = at.failed.join("; ");
            return Err(Error::NotFound(format!("organizations that could not be read: {failed}")));
        }
        if at.next < at.organizations.len() || !at.failed.is_empty() {
            page.next = Some(at.token()?);
        }
        Ok(page)
    }

    /// The organizations in the settings, else all of the token's owner; and, along the way, what is followed.
    async fn all_organizations(&self) -> Result<Vec<String>> {
        let now = self.now();
        let known = self.seen.lock().organizations.clone();
        if let Some((organizations, _)) = known.filter(|(_, at)| is_fresh(*at, now)) {
            return Ok(organizations);
        }
        let mut organizations = self.organizations.clone();
        if organizations.is_empty() {
            organizations = self.collaborations().await?;
        }
        for project in self.followed().await? {
            let id = project.key.id.as_str();
            let Some((organization, _)) = id.rsplit_once('/') else { continue };
            if !organizations.iter().any(|o| o == organization) {
                if !self.organizations.is_empty() {
                    continue;
                }
                organizations.push(organization.to_owned());
            }
            let mut seen = self.seen.lock();
            let of = seen.by_slug.entry(organization.to_owned()).or_default();
            of.projects.insert(id.to_owned(), Found { project: project.clone(), read_at: now });
        }
        let mut before = BTreeSet::new();
        organizations.retain(|slug| before.insert(slug.clone()));
        self.seen.lock().organizations = Some((organizations.clone(), now));
        Ok(organizations)
    }

    async fn collaborations(&self) -> Result<Vec<String>> {
        let answer = self.client.get(COLLABORATIONS, self.client.url(&["me", "collaborations"], &[])).await;
        let rows: Rows<wire::Collaboration> = match answer {
            Ok(answer) => answer.json()?,
            // Everybody has this list, if it may be empty.
            Err(e) => return Err(e.of_a_stranger("CircleCI's API v2")),
        };
        let slug = |row: wire::Collaboration| {
            let made = || Some(format!("{}/{}", row.vcs_type.as_deref()?, row.name.as_deref()?));
            row.slug.clone().or_else(made).map(|slug| base::organization(&slug))
        };
        Ok(rows.items.into_iter().filter_map(slug).collect())
    }

    /// What the token's owner follows; nothing where that cannot be had, since what runs is found without.
    async fn followed(&self) -> Result<Vec<Project>> {
        let answer = self.client.get(FOLLOWED, base::v1(&self.base, &["projects"])).await;
        let rows = match answer.and_then(|answer| answer.json::<Rows<wire::Followed>>()) {
            Ok(rows) => rows.items,
            Err(e) if e.concerns_source() => return Err(e),
            Err(error) => {
                tracing::info!(source = %self.source, %error, "followed projects are not listed");
                return Ok(Vec::new());
            }
        };
        let project = |row: wire::Followed| {
            let slug = format!("{}/{}/{}", row.vcs_type?, row.username.as_deref()?, row.reponame.as_deref()?);
            // What is in no repository has ids here instead of names: it is found when it runs.
            let slug = Slug::parse(&slug).filter(|slug| slug.vcs != "circleci")?.to_string();
            let row = wire::Project {
                slug,
                name: row.reponame,
                organization_name: row.username,
                vcs_info: Some(wire::VcsInfo { default_branch: row.default_branch }),
            };
            Some(convert::project(&self.source, &self.base, &row))
        };
        Ok(rows.into_iter().take(MAX_PROJECTS).filter_map(project).collect())
    }

    async fn list_organization(&self, organization: &str) -> Result<ProjectPage> {
        let before = self.seen.lock().by_slug.get(organization).map(|o| o.newest.clone()).unwrap_or_default();
        let (rows, complete) = self.moved(organization, &before).await?;
        let now = self.now();
        let mut moved: BTreeMap<String, Vec<Pipeline>> = BTreeMap::new();
        let newest = rows.iter().take(before.len().max(TOLD * 10)).map(|row| row.id.clone()).collect();
        for row in &rows {
            let Some(slug) = row.project_slug.as_deref().and_then(Slug::parse) else { continue };
            let slug = slug.to_string();
            let run = self.shell(&slug, row);
            moved.entry(slug).or_default().push(run);
        }

        // Read what is new or has not been read for long; the lock is not held meanwhile.
        let wanted: Vec<String> = {
            let seen = self.seen.lock();
            let known = seen.by_slug.get(organization).map(|o| &o.projects);
            let fresh = |found: &Found| is_fresh(found.read_at, now);
            let slugs: BTreeSet<&String> =
                moved.keys().chain(known.into_iter().flat_map(BTreeMap::keys)).collect();
            let stale = |slug: &&String| !known.and_then(|k| k.get(*slug)).is_some_and(fresh);
            slugs.into_iter().filter(stale).take(MAX_PROJECTS).cloned().collect()
        };
        let one = |slug: String| async move {
            let answer = self.project(&slug).await;
            (slug, answer)
        };
        let asked: Vec<_> = wanted.into_iter().map(one).collect();
        let read: Vec<_> = stream::iter(asked).buffer_unordered(PROJECTS_AT_ONCE).collect().await;

        let mut seen = self.seen.lock();
        let seen = seen.by_slug.entry(organization.to_owned()).or_default();
        for (slug, answer) in read {
            match answer {
                Ok(project) => {
                    seen.projects.insert(slug, Found { project, read_at: now });
                }
                Err(Error::NotFound(_)) => {
                    seen.projects.remove(&slug);
                    seen.pipelines.remove(&slug);
                }
                Err(e) if e.concerns_source() => return Err(e),
                // One that is known stays as it is known; one that is new is found again, since nothing is lost of it.
                Err(error) => {
                    tracing::warn!(source = %self.source, slug, %error, "a project could not be read")
                }
            }
        }
        for (slug, runs) in moved {
            let default = seen.projects.get(&slug).and_then(|f| f.project.default_branch.clone());
            remember(seen.pipelines.entry(slug).or_default(), runs, default.as_deref());
        }
        seen.newest = newest;
        let mut page = ProjectPage::default();
        for (slug, found) in &seen.projects {
            let runs = seen.pipelines.get(slug).cloned().unwrap_or_default();
            let mut project = found.project.clone();
            project.last_activity_at = runs.iter().filter_map(Pipeline::began).max();
            // With a gap nobody knows what it holds. Without, nothing told is nothing new.
            if complete {
                let told = Heads { pipelines: runs, ..Heads::default() };
                page.told.insert(project.key.id.clone(), told);
            }
            page.items.push(project);
        }
        Ok(page)
    }

    /// An organization's pipelines, newest first, as far as they are new; and whether nothing lies between them and what
    /// the listing before has seen.
    async fn moved(
        &self,
        organization: &str,
        before: &BTreeSet<String>,
    ) -> Result<(Vec<wire::Pipeline>, bool)> {
        let pages = if before.is_empty() { FIRST_PAGES } else { LATER_PAGES };
        let (mut rows, mut token): (Vec<wire::Pipeline>, Option<String>) = (Vec::new(), None);
        for _ in 0..pages {
            let mut query = vec![("org-slug", organization), ("mine", "false")];
            query.extend(token.as_deref().map(|token| ("page-token", token)));
            let list = self.list(OF_ORGANIZATION, self.client.url(&["pipeline"], &query)).await?;
            let met = list.items.items.iter().any(|row: &wire::Pipeline| before.contains(&row.id));
            let empty = list.items.items.is_empty();
            rows.extend(list.items.items);
            // A token that comes again leads in circles.
            token = list.next_page_token.filter(|next| Some(next) != token.as_ref());
            if met || token.is_none() || empty {
                return Ok((rows, true));
            }
        }
        Ok((rows, before.is_empty()))
    }
}

/// Adds what a listing saw to a project's newest pipelines, of which the newest are kept and the newest of the default
/// branch.
fn remember(kept: &mut Vec<Pipeline>, seen: Vec<Pipeline>, default: Option<&str>) {
    kept.retain(|known| seen.iter().all(|run| run.id != known.id));
    kept.extend(seen);
    kept.sort_by_cached_key(|run| std::cmp::Reverse((run.number, run.began())));
    let of_default = kept.iter().position(|run| default.is_some() && run.branch.as_deref() == default);
    let mut at = 0;
    kept.retain(|_| {
        at += 1;
        at <= TOLD || of_default == Some(at - 1)
    });
}
