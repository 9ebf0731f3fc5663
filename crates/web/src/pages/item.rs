//! A line of a list of merge requests or of issues.

use api::{timestamp_back, v1};
use askama::Template;
use askama::filters::HtmlSafe;
use domain::encode_segment;

use super::parts::{Activity, Icon, When, project_href, run_href, split_name, web_link};
use super::row::failure;
use super::{Ctx, format};

/// Labels that are shown; the others are in the title of how many more there are.
const LABELS: usize = 3;
/// People that are named.
const PEOPLE: usize = 3;

/// One line, ready to be written.
#[derive(Debug, Template)]
#[template(path = "parts/item.html")]
pub(super) struct Item {
    /// Stands for it in every version of the page.
    dom_id: String,
    pub(super) shape: Icon,
    pub(super) title: String,
    /// Its page on the platform; ours of its project where the platform gives none.
    pub(super) href: String,
    pub(super) outside: bool,
    pub(super) draft: bool,
    labels: Vec<String>,
    more_labels: Option<MoreLabels>,
    platform: Icon,
    project_href: String,
    group: Option<String>,
    name: String,
    full_name: String,
    /// `pull request 42`, in the platform's word.
    pub(super) called: String,
    branches: Option<Branches>,
    state: Option<State>,
    pub(super) author: Option<String>,
    /// What others have to do with it: `review: jonas, lee`.
    others: String,
    /// It waits for the reader.
    wanted: Option<&'static str>,
    pub(super) updated: Option<When>,
    opened: Option<When>,
    as_of: Option<When>,
}

impl HtmlSafe for Item {}

#[derive(Debug)]
struct MoreLabels {
    n: usize,
    all: String,
}

#[derive(Debug)]
struct Branches {
    from: String,
    into: String,
}

/// How the newest commit is.
#[derive(Debug)]
struct State {
    text: String,
    href: Option<String>,
    /// Whether it could be merged.
    merge: &'static str,
    activity: Option<Activity>,
}

impl Item {
    pub(super) fn of_merge_request(ctx: &Ctx<'_>, m: &v1::MergeRequest, source: Option<&v1::Source>) -> Self {
        let key = m.project.clone().unwrap_or_default();
        let words = source.and_then(|s| s.words.as_ref());
        let word = words.map(|w| w.merge_request.as_str()).filter(|w| !w.is_empty());
        let run = words.map_or("pipeline", |w| w.pipeline.as_str());
        let reviewers = names(ctx, &m.reviewers);
        let as_of = m.as_of.as_ref().and_then(timestamp_back);
        Self {
            shape: match m.outcome() {
                _ if as_of.is_some() => Icon::saying("unknown", "not known now"),
                v1::Outcome::Unspecified => Icon::saying("unknown", "no run of its newest commit is known"),
                v1::Outcome::Failed => Icon::saying("failed", "failed"),
                outcome => Icon::outcome(outcome),
            },
            title: title(&m.title, m.draft),
            draft: m.draft,
            branches: Some(Branches { from: m.source_branch.clone(), into: m.target_branch.clone() })
                .filter(|b| !b.from.is_empty() || !b.into.is_empty()),
            state: Some(State::of(ctx, m, &key, run, as_of.is_some())),
            others: if reviewers.is_empty() { String::new() } else { format!("review: {reviewers}") },
            wanted: m.review_wanted.then_some("your review is asked for"),
            ..Self::new(
                ctx,
                &Common {
                    key: &key,
                    project: &m.project_name,
                    id: &m.id,
                    number: m.number,
                    word: word.unwrap_or("merge request"),
                    url: m.url.as_deref(),
                    labels: &m.labels,
                    author: m.author.as_ref(),
                    created: m.created_at.as_ref(),
                    updated: m.updated_at.as_ref(),
                    as_of: m.as_of.as_ref(),
                },
                source,
            )
        }
    }

    pub(super) fn of_issue(ctx: &Ctx<'_>, i: &v1::Issue, source: Option<&v1::Source>) -> Self {
        let key = i.project.clone().unwrap_or_default();
        let assignees = names(ctx, &i.assignees);
        Self {
            title: title(&i.title, false),
            others: match (assignees.is_empty(), ctx.show_people) {
                (_, false) => String::new(),
                (true, true) => "nobody has it".to_owned(),
                (false, true) => format!("assigned to {assignees}"),
            },
            wanted: i.assigned_to_me.then_some("it is yours"),
            ..Self::new(
                ctx,
                &Common {
                    key: &key,
                    project: &i.project_name,
                    id: &i.id,
                    number: i.number,
                    word: "issue",
                    url: i.url.as_deref(),
                    labels: &i.labels,
                    author: i.author.as_ref(),
                    created: i.created_at.as_ref(),
                    updated: i.updated_at.as_ref(),
                    as_of: i.as_of.as_ref(),
                },
                source,
            )
        }
    }

    fn new(ctx: &Ctx<'_>, c: &Common<'_>, source: Option<&v1::Source>) -> Self {
        let project_href = project_href(ctx, c.key);
        let url = web_link(c.url);
        let (group, name) = split_name(c.project);
        let instant = |at: Option<_>| at.and_then(timestamp_back);
        let rest = c.labels.len().saturating_sub(LABELS);
        Self {
            dom_id: format!(
                "i-{}:{}:{}",
                encode_segment(&c.key.source),
                encode_segment(&c.key.id),
                encode_segment(c.id)
            ),
            shape: Icon::saying("issue", "open"),
            title: String::new(),
            outside: url.is_some(),
            href: url.unwrap_or_else(|| project_href.clone()),
            draft: false,
            labels: c.labels.iter().take(LABELS).cloned().collect(),
            more_labels: (rest > 0).then(|| MoreLabels { n: rest, all: c.labels.join(", ") }),
            platform: Icon::platform(source),
            project_href,
            group: group.map(str::to_owned),
            name: name.to_owned(),
            full_name: c.project.to_owned(),
            called: format!("{} {}", c.word, c.number),
            branches: None,
            state: None,
            author: c.author.filter(|_| ctx.show_people).map(|a| a.name.clone()).filter(|n| !n.is_empty()),
            others: String::new(),
            wanted: None,
            updated: instant(c.updated.or(c.created)).map(|at| When::ago(at, ctx.now)),
            opened: instant(c.created).map(|at| When::ago(at, ctx.now)),
            as_of: instant(c.as_of).map(|at| When::clock(at, ctx.now)),
        }
    }

    fn is_active(&self) -> bool {
        self.state.as_ref().is_some_and(|s| s.activity.is_some())
    }

    pub(super) fn dom_id(&self) -> &str {
        &self.dom_id
    }
}

/// What both kinds have.
struct Common<'a> {
    key: &'a v1::ProjectKey,
    project: &'a str,
    id: &'a str,
    number: u64,
    word: &'a str,
    url: Option<&'a str>,
    labels: &'a [String],
    author: Option<&'a v1::Person>,
    created: Option<&'a prost_types::Timestamp>,
    updated: Option<&'a prost_types::Timestamp>,
    as_of: Option<&'a prost_types::Timestamp>,
}

/// Without the mark of a draft that some platforms put into the title as well: the row has one of its own.
fn title(title: &str, draft: bool) -> String {
    const MARKS: [&str; 2] = ["Draft:", "WIP:"];
    let mark = MARKS.iter().find(|m| title.get(..m.len()).is_some_and(|t| t.eq_ignore_ascii_case(m)));
    let bare = mark.filter(|_| draft).map_or(title, |m| title[m.len()..].trim_start());
    if bare.is_empty() { "(no title)".to_owned() } else { bare.to_owned() }
}

fn names(ctx: &Ctx<'_>, people: &[v1::Person]) -> String {
    if !ctx.show_people {
        return String::new();
    }
    let mut names: Vec<String> = people.iter().take(PEOPLE).map(|p| p.name.clone()).collect();
    if people.len() > PEOPLE {
        names.push(format!("{} more", format::number(u32::try_from(people.len() - PEOPLE).unwrap_or(0))));
    }
    names.join(", ")
}

impl State {
    fn of(ctx: &Ctx<'_>, m: &v1::MergeRequest, key: &v1::ProjectKey, word: &str, stale: bool) -> Self {
        let head = m.head.as_ref();
        let deciding = head.and_then(|h| h.deciding.as_ref());
        let activity = head.and_then(|h| Activity::of(ctx, h, word)).filter(|_| !stale);
        let text = match m.outcome() {
            v1::Outcome::Failed => failure(deciding),
            v1::Outcome::Warning => match deciding.and_then(|d| d.failure.as_deref()) {
                Some(what) => format!("passed with warnings: {what}"),
                None => "passed with warnings".into(),
            },
            v1::Outcome::Success => "green".into(),
            v1::Outcome::Canceled => "canceled".into(),
            v1::Outcome::Skipped => "skipped".into(),
            v1::Outcome::Unknown => "its state is not known".into(),
            v1::Outcome::Unspecified if head.is_some_and(|h| h.waiting.is_some()) => {
                "waiting for approval".into()
            }
            v1::Outcome::Unspecified if m.activity() != v1::Activity::Unspecified => {
                "nothing has completed yet".into()
            }
            v1::Outcome::Unspecified => "no run is known".into(),
        };
        let text = if stale && m.outcome() != v1::Outcome::Unspecified {
            format!("{text}, when last seen")
        } else {
            text
        };
        let newest = head.and_then(|h| h.pipelines.first());
        Self {
            text,
            href: deciding.or(newest).map(|run| run_href(ctx, key, &run.id)),
            merge: match m.mergeable {
                Some(true) if !stale => "can be merged",
                Some(false) if !m.draft && !stale => "cannot be merged yet",
                _ => "",
            },
            activity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_marked_once() {
        for (text, draft, want) in [
            ("Draft: Round half even", true, "Round half even"),
            ("wip:x", true, "x"),
            ("Draft: Round half even", false, "Draft: Round half even"),
            ("Draught: ales", true, "Draught: ales"),
            ("Ünï", true, "Ünï"),
            ("Draft:", true, "(no title)"),
            ("", false, "(no title)"),
        ] {
            assert_eq!(title(text, draft), want);
        }
    }
}
