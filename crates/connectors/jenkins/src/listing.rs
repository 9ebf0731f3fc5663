//! Which jobs there are, and how each is: the whole instance in one request, as long as no folder has more than
//! [`tree::ITEMS`] items and none lies deeper than [`tree::DEPTH`]. What has more is a step of its own, and so a page.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use connector::{Error, Heads, PageToken, ProjectPage, Result};
use domain::{NativeId, Pipeline, Project};
use serde::{Deserialize, Serialize};

use crate::convert::{self, Of};
use crate::source::Jenkins;
use crate::tree::Newest;
use crate::wire::{Item, Kind};
use crate::{base, tree};

const ROOT: &str = "GET /api/json";
/// Steps that may wait: an instance with more folders of this size than that is read up to here.
const MAX_STEPS: usize = 2_000;
/// The most pages of branches of one job: 3,000 branches.
const MAX_BRANCH_PAGES: usize = 10;
/// The newest builds of so many jobs and branches are told whole by the listing: some 600 bytes each, before compression …
const MAX_TOLD_WHOLE: usize = 6_000;
/// … as long as that keeps Jenkins busy for no more seconds than this; else not for [`SLOW_FOR`] seconds.
const WHOLE_WITHIN: i64 = 3;
const SLOW_FOR: i64 = 3600;

/// A request that is still to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Step {
    /// Full name of a folder; empty for the root.
    path: String,
    /// The first item that is wanted.
    from: usize,
}

/// Where in the listing one is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct At {
    steps: VecDeque<Step>,
    /// How many builds the steps before told.
    #[serde(default)]
    builds: usize,
    /// Folders of the settings that could not be read. They are told at the end, so that they keep no other from being read.
    failed: Vec<String>,
}

/// What a page found.
#[derive(Default)]
struct Found {
    page: ProjectPage,
    steps: Vec<Step>,
    /// Multibranch jobs with more branches than one request tells.
    large: Vec<(String, Item)>,
}

impl Jenkins {
    /// The next step of the listing.
    pub(crate) async fn list_projects(&self, page: Option<PageToken>) -> Result<ProjectPage> {
        let mut at = match page {
            Some(token) => {
                serde_json::from_str(&token.0).map_err(|e| Error::Garbage(format!("page token: {e}")))?
            }
            None => self.first(),
        };
        let Some(step) = at.steps.pop_front() else {
            return Err(Error::NotFound(at.failed.join("; ")));
        };
        let mut found = Found::default();
        match self.step(&step, &mut found).await {
            Ok(()) => {}
            Err(e) if step.path.is_empty() || !is_of_folder(&e) => return Err(e),
            Err(e) if self.folders.contains(&step.path) => {
                at.failed.push(format!("folder {}: {e}", step.path))
            }
            // It left meanwhile, or its inside is not for this user.
            Err(error) => {
                tracing::info!(source = %self.name, folder = step.path, %error, "folder is left out")
            }
        }
        for (path, item) in std::mem::take(&mut found.large) {
            let item = match self.with_all_branches(&path, item.clone()).await {
                Ok(whole) => whole,
                Err(e) if e.concerns_source() => return Err(e),
                Err(error) => {
                    tracing::warn!(source = %self.name, job = path, %error, "only its first branches could be read");
                    item
                }
            };
            self.found_job(&path, &item, &mut found);
        }
        at.steps.extend(found.steps);
        at.steps.truncate(MAX_STEPS);
        let mut page = found.page;
        at.builds += page.told.values().map(|told| told.pipelines.len()).sum::<usize>();
        if at.steps.is_empty() {
            self.builds_told.store(at.builds, Ordering::Relaxed);
        }
        if !at.steps.is_empty() || !at.failed.is_empty() {
            let text = serde_json::to_string(&at).map_err(|e| Error::Garbage(format!("page token: {e}")))?;
            page.next = Some(PageToken(text));
        }
        Ok(page)
    }

    fn first(&self) -> At {
        let step = |path: &str| Step { path: path.to_owned(), from: 0 };
        let steps = if self.folders.is_empty() {
            VecDeque::from([step("")])
        } else {
            self.folders.iter().map(|f| step(f)).collect()
        };
        At { steps, ..At::default() }
    }

    /// Told whole, a new build needs no request of its own. Where there are many jobs, answers would become large, and most
    /// of each the same as in the one before.
    fn newest(&self) -> Newest {
        let few = self.builds_told.load(Ordering::Relaxed) <= MAX_TOLD_WHOLE;
        let slow = self.clock.now().as_second() < self.slow_until.load(Ordering::Relaxed);
        if few && !slow { Newest::Whole } else { Newest::State }
    }

    /// A part of the listing, with a look at how long it takes.
    async fn timed<T>(&self, newest: Newest, part: impl Future<Output = T>) -> T {
        let began = self.clock.now().as_second();
        let answer = part.await;
        let now = self.clock.now().as_second();
        if newest == Newest::Whole && now.saturating_sub(began) > WHOLE_WITHIN {
            self.slow_until.store(now.saturating_add(SLOW_FOR), Ordering::Relaxed);
        }
        answer
    }

    async fn step(&self, step: &Step, found: &mut Found) -> Result<()> {
        if step.path.is_empty() {
            let root = self.root_items(step.from).await?;
            self.found_in("", step.from, &root, found);
            return Ok(());
        }
        let newest = self.newest();
        let tree = tree::item(step.from, tree::DEPTH, newest);
        let item = self.timed(newest, self.item(&step.path, &tree)).await?;
        match item.kind() {
            // Only a folder is continued; of a multibranch job all branches are read at once.
            Kind::Folder => self.found_in(&step.path, step.from, &item, found),
            _ => self.found(&step.path, item, 1, found),
        }
        Ok(())
    }

    /// Reads the root; here it shows whether this is a Jenkins at all.
    async fn root_items(&self, from: usize) -> Result<Item> {
        let newest = self.newest();
        let tree = format!("_class,{}", tree::items(from, tree::DEPTH, newest));
        let url = self.client.url(&["api", "json"], &[("tree", &tree)]);
        let answer: Result<Item> = self.timed(newest, self.read(ROOT, url)).await;
        let got = match answer {
            Ok(item) if item.jobs.is_some() => return Ok(item),
            // A Jenkins without a job, or without one for this user.
            Ok(item) if item.kind() == Kind::Folder => return Ok(item),
            Ok(_) => "JSON of something else",
            Err(Error::NotFound(_)) => "404",
            Err(e) => return Err(e),
        };
        Err(Error::Garbage(format!(
            "source {}: expected Jenkins at {}, got {got}: url has to be its root, with the path prefix if it has one",
            self.name,
            self.root.as_str().trim_end_matches('/')
        )))
    }

    /// Goes through the items of a folder.
    fn found_in(&self, path: &str, from: usize, folder: &Item, found: &mut Found) {
        self.found_below(path, from, folder, 1, found);
    }

    fn found_below(&self, path: &str, from: usize, folder: &Item, level: usize, found: &mut Found) {
        let Some(jobs) = &folder.jobs else { return };
        if jobs.items.len() + jobs.broken >= tree::ITEMS {
            found.steps.push(Step { path: path.to_owned(), from: from + tree::ITEMS });
        }
        if let Some(problem) = jobs.problem("jobs") {
            tracing::warn!(source = %self.name, folder = path, "{}", problem.text);
        }
        for item in &jobs.items {
            let Some(name) = &item.name else { continue };
            self.found(&base::join(path, name), item.clone(), level + 1, found);
        }
    }

    /// Takes one item that lies `level` deep in the answer, whatever it is.
    fn found(&self, path: &str, item: Item, level: usize, found: &mut Found) {
        if path.len() > base::MAX_FULL_NAME {
            return;
        }
        let beyond = item.jobs.is_none() && level > tree::DEPTH;
        match item.kind() {
            Kind::Folder | Kind::Multibranch if beyond => {
                found.steps.push(Step { path: path.to_owned(), from: 0 });
            }
            Kind::Folder => self.found_below(path, 0, &item, level, found),
            Kind::Multibranch if item.jobs.as_ref().is_some_and(|j| j.items.len() >= tree::ITEMS) => {
                found.large.push((path.to_owned(), item));
            }
            Kind::Multibranch | Kind::Job => self.found_job(path, &item, found),
            Kind::Other => {}
        }
    }

    fn found_job(&self, path: &str, item: &Item, found: &mut Found) {
        let project = convert::project(&self.name, &self.root, path, item);
        found.page.told.insert(NativeId::new(path), self.told(&project, item));
        found.page.items.push(project);
    }

    /// What the state of a job says about its runs.
    pub(crate) fn told(&self, project: &Project, item: &Item) -> Heads {
        let pipelines: Vec<Pipeline> = if item.kind() == Kind::Multibranch {
            self.remember_multibranch(project.key.id.as_str());
            let branches = item.jobs.iter().flat_map(|jobs| &jobs.items);
            let of = |child| Of { child, ..self.of(project, None) };
            branches
                .flat_map(|b| b.name.as_deref().map(|n| convert::state(b, &of(Some(n)))).unwrap_or_default())
                .collect()
        } else {
            convert::state(item, &self.of(project, None))
        };
        let problems = item.jobs.as_ref().and_then(|jobs| jobs.problem("branches"));
        Heads { pipelines, problems: problems.into_iter().collect(), ..Heads::default() }
    }

    /// The branches beyond the first [`tree::ITEMS`].
    pub(crate) async fn with_all_branches(&self, path: &str, mut item: Item) -> Result<Item> {
        for page in 1..MAX_BRANCH_PAGES {
            let Some(jobs) = &mut item.jobs else { break };
            if jobs.items.len() + jobs.broken < page * tree::ITEMS {
                break;
            }
            let more = self.item(path, &tree::items(page * tree::ITEMS, 1, Newest::State)).await?;
            let more = more.jobs.unwrap_or_default();
            jobs.items.extend(more.items);
            jobs.broken += more.broken;
            jobs.first_error = jobs.first_error.take().or(more.first_error);
        }
        Ok(item)
    }

    /// One job by its full name. A branch of a multibranch job answers with that job, which is its project.
    pub(crate) async fn find_project(&self, id_or_name: &str) -> Result<Project> {
        let (path, item) = self.find_item(id_or_name).await?;
        Ok(convert::project(&self.name, &self.root, &path, &item))
    }

    /// A job with its state, and its full name.
    pub(crate) async fn find_item(&self, id_or_name: &str) -> Result<(String, Item)> {
        let path = base::full_name(id_or_name);
        if !base::could_be_job(path) {
            return Err(Error::NotFound(format!(
                "{:?} is no full name of a job",
                domain::text::line(path, 80)
            )));
        }
        let mut path = path.to_owned();
        let mut item = self.item(&path, &tree::project()).await?;
        if item.is_branch()
            && let Some((parent, _)) = path.rsplit_once('/')
        {
            path = parent.to_owned();
            item = self.item(&path, &tree::project()).await?;
        }
        match item.kind() {
            Kind::Multibranch => {
                self.remember_multibranch(&path);
                let item = self.with_all_branches(&path, item).await?;
                Ok((path, item))
            }
            Kind::Job => Ok((path, item)),
            Kind::Folder => Err(Error::NotFound(format!("{path} is a folder, no job"))),
            Kind::Other => Err(Error::NotFound(format!("{path} is no job"))),
        }
    }
}

/// Whether an error is about one folder rather than about Jenkins.
const fn is_of_folder(error: &Error) -> bool {
    matches!(error, Error::NotFound(_) | Error::Forbidden(_) | Error::Legal(_))
}
