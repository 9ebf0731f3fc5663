//! Every state that a page can be in, drawn from made-up answers and written to a folder. What a browser sees of them is
//! checked by `tests/browser` (its README says how); here is what can be told from the text.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "small made-up figures; what cannot be drawn fails the test"
)]

#[path = "screens/details.rs"]
mod details;
#[path = "screens/door.rs"]
mod door;
#[path = "screens/insights.rs"]
mod insights;
#[path = "screens/kit.rs"]
mod kit;
#[path = "screens/lists.rs"]
mod lists;
#[path = "screens/overview.rs"]
mod overview;
#[path = "screens/sources.rs"]
mod sources;

use std::path::Path;
use std::sync::LazyLock;

static ALL: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let mut all = overview::all();
    all.extend(details::all());
    all.extend(lists::all());
    all.extend(sources::all());
    all.extend(insights::all());
    all.extend(door::all());
    all
});

fn page(name: &str) -> &'static str {
    &ALL.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no state {name}")).1
}

/// The text between the first `<tag …>` that has `mark` and the end of that tag's element, without markup.
fn text_of(html: &str, mark: &str, end: &str) -> String {
    let from = html.find(mark).unwrap_or_else(|| panic!("no {mark}"));
    let inner = &html[from..from + html[from..].find(end).unwrap()];
    let mut text = String::new();
    let mut inside = true;
    for c in inner.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn headline(name: &str) -> String {
    text_of(page(name), "id=\"headline\"", "</h1>")
}

#[test]
fn every_state_is_written() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screens");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, html) in ALL.iter() {
        assert!(html.starts_with("<!doctype html>"), "{name}");
        assert!(html.trim_end().ends_with("</html>"), "{name}");
        std::fs::write(folder.join(format!("{name}.html")), html).unwrap();
    }
}

#[test]
fn the_headline_tells_the_news() {
    for (name, want) in [
        ("overview-60", "3 of 60 projects are broken, the oldest for 9 hours"),
        ("overview-3", "All 3 projects are broken, the oldest for 9 hours"),
        ("overview-one", "Green"),
        ("all-green", "All 60 are green"),
        ("nothing-broken", "Nothing is broken, 25 of 27 are green"),
        ("source-away", "46 are green, 14 are not known since 13:55 UTC"),
        ("reading", "Reading 1,204 projects …"),
        ("empty-filter", "Nothing matches “legder” in broken"),
        ("first-start", "Where do your pipelines run?"),
        ("aggregator-away", "All 12 were green"),
        ("source-refused", "No projects yet"),
        ("project", "broken ledger-api"),
        ("pipeline", "failed Round half even in fees"),
        ("overview-mine-nobody", "Nothing matches what is yours"),
        ("merge-requests", "3 of 24 open merge requests fail"),
        ("merge-requests-none", "No open merge requests"),
        ("merge-requests-reading", "Reading merge requests …"),
        ("merge-requests-nothing", "Nothing matches “legder” in failed among drafts of yours"),
        ("pull-requests", "1 open pull request"),
        ("issues", "18 open issues"),
        ("issues-nothing", "Nothing matches what is yours"),
        ("sources", "All 4 sources answer"),
        ("sources-one", "The source answers"),
        ("sources-down", "2 of 3 sources do not answer"),
        ("sources-limited", "1 of 2 sources waits for its rate limit"),
        ("sources-failing", "1 of 2 sources answers only in part"),
        ("sources-reading", "Reading 1 of 2 sources …"),
        ("sources-none", "No source yet: where do your pipelines run?"),
    ] {
        assert_eq!(headline(name), want, "{name}");
    }
}

#[test]
fn title_and_favicon_say_the_same() {
    for (name, title, icon) in [
        ("overview-60", "3 broken · CI Dashboard", "favicon-red.svg"),
        ("all-green", "All green · CI Dashboard", "favicon-green.svg"),
        ("nothing-broken", "Nothing broken · CI Dashboard", "favicon-amber.svg"),
        ("source-away", "14 not known · CI Dashboard", "favicon-grey.svg"),
        ("aggregator-away", "Was green · CI Dashboard", "favicon-grey.svg"),
        ("empty-filter", "Nothing matches · CI Dashboard", "favicon-grey.svg"),
        ("reading", "Reading … · CI Dashboard", "favicon-grey.svg"),
        ("project", "ledger-api broken · CI Dashboard", "favicon-red.svg"),
        ("merge-requests", "3 failing · CI Dashboard", "favicon-red.svg"),
        ("merge-requests-away", "3 failing · CI Dashboard", "favicon-grey.svg"),
        ("merge-requests-none", "No open merge requests · CI Dashboard", "favicon-grey.svg"),
        ("issues", "18 open issues · CI Dashboard", "favicon-grey.svg"),
        ("sources", "All 4 sources answer · CI Dashboard", "favicon-green.svg"),
        ("sources-down", "2 of 3 sources do not answer · CI Dashboard", "favicon-grey.svg"),
        ("sources-away", "All 2 sources answer · CI Dashboard", "favicon-grey.svg"),
    ] {
        let html = page(name);
        assert_eq!(text_of(html, "<title", "</title>"), title, "{name}");
        assert!(html.contains(icon), "{name}: {icon}");
    }
}

/// Old data, a silent source and half a reading never look green.
#[test]
fn joy_is_only_for_what_is_known_now() {
    for (name, html) in ALL.iter() {
        assert_eq!(html.contains(" joy\""), ["all-green", "overview-one"].contains(name), "{name}");
    }
    let stale = page("source-away-red");
    let row = stale.split("<li ").find(|row| row.contains("firmware-0<")).unwrap();
    assert!(
        row.contains("is-stale") && row.contains("failed when last seen") && !row.contains("is-broken"),
        "{row}"
    );
    assert!(row.contains("data-shape=\"unknown\""), "{row}");
}

#[test]
fn what_comes_from_outside_is_text() {
    let html = page("odd-names");
    for evil in ["<script>alert", "<img src=x", "<b>mira"] {
        assert!(!html.contains(evil), "{evil}");
    }
    assert!(html.contains("&#60;img src=x onerror=alert(1)&#62;"));
    let items = page("merge-requests-odd");
    assert!(!items.contains("<script>") && !items.contains("<img src=x") && !items.contains("javascript:"));
    let sources = page("sources-odd");
    assert!(
        !sources.contains("<script>alert") && !sources.contains("<img src=x") && !sources.contains("<u>")
    );
    let log = page("pipeline");
    assert!(!log.contains("<script>alert") && !log.contains('\u{1b}'));
}

/// The policy of the server allows neither.
#[test]
fn nothing_is_inline() {
    for (name, html) in ALL.iter() {
        assert!(!html.contains(" style=") && !html.contains("<style"), "{name}");
        assert!(!html.contains(" onclick=") && !html.contains("javascript:"), "{name}");
        for script in html.split("<script").skip(1) {
            assert!(script.split('>').next().unwrap().contains("src="), "{name}: {script:.80}");
        }
    }
}

#[test]
fn people_are_hidden_where_they_are_to_be() {
    for name in ["no-people", "merge-requests-no-people"] {
        for who in ["mira", "jonas", "ole<"] {
            assert!(!page(name).contains(who), "{name}: {who}");
        }
    }
    assert!(page("overview-3").contains("mira"));
}

#[test]
fn every_link_is_below_the_base_path() {
    for html in ["below-a-path", "merge-requests-below-a-path", "sources-below-a-path"].map(page) {
        for attribute in ["href=\"/", "src=\"/", "action=\"/"] {
            for link in html.split(attribute).skip(1) {
                assert!(link.starts_with("ci/") || link.starts_with("ci\""), "{attribute}{link:.60}");
            }
        }
    }
}

#[test]
fn ids_with_anything_in_them_make_one_path_segment() {
    let html = page("odd-names");
    assert!(
        html.contains(
            "/projects/jenkins-prod/a%20job%20with%20spaces%2F100%25%20of%20it%2Fit%27s%20%22quoted%22\""
        ) || html.contains(
            "/projects/jenkins-prod/a%20job%20with%20spaces%2F100%25%20of%20it%2Fit&#39;s%20%22quoted%22\""
        )
    );
}

#[test]
fn what_is_on_its_way_is_asked_for_again_without_javascript_too() {
    for name in [
        "reading",
        "sources-reading",
        "project-loading",
        "pipeline-loading",
        "pipeline-log-loading",
        "unavailable",
    ] {
        assert!(page(name).contains("<noscript><meta http-equiv=\"refresh\""), "{name}");
    }
    assert!(!page("overview-60").contains("http-equiv=\"refresh\""));
}

/// The row of a list that has `words`.
fn item(name: &str, words: &str) -> String {
    let row = page(name).split("<li class=\"row").find(|row| row.contains(words));
    row.unwrap_or_else(|| panic!("{words} is not on {name}")).to_owned()
}

#[test]
fn a_row_says_what_one_has_to_know() {
    let row = item("merge-requests", "Round half even in fees");
    let text = text_of(&row, "c-shape", "</li>");
    for words in
        ["merge request 214", "fix/half-even", "into", "main", "unit-tests: 3 of 1,204", "mira", "money"]
    {
        assert!(text.contains(words), "{words} not in {text}");
    }
    assert!(row.contains("data-shape=\"failed\"") && row.contains("/pipelines/48212\""));
    assert!(row.contains("href=\"https://gitlab.example.com/payments/ledger-api/214\" rel=\"noreferrer\""));
    let row = item("merge-requests", "Lazy-load the basket");
    let text = text_of(&row, "c-shape", "</li>");
    assert!(text.contains("pull request") && text.contains("draft") && !text.contains("Draft:"), "{text}");
    let row = item("merge-requests", "Speed up the first paint");
    assert!(text_of(&row, "c-shape", "</li>").contains("your review is asked for"));
    assert!(text_of(&item("issues", "Fees are off by one"), "c-shape", "</li>").contains("nobody has it"));
}

#[test]
fn what_is_old_says_so_and_is_not_green() {
    for row in page("merge-requests-source-away").split("<li class=\"row").skip(1) {
        let old = row.contains("github-main:");
        assert_eq!(row.contains("is-stale"), old, "{row}");
        assert!(row.contains("data-shape=\"unknown\"") || !old, "{row}");
    }
    assert!(page("merge-requests-source-away").contains("Its rows below show what was known at"));
}

#[test]
fn the_bar_names_pages_only_where_there_is_something_for_them() {
    let nav = |name| text_of(page(name), "<nav aria-label=\"Pages\"", "</nav>");
    assert_eq!(nav("merge-requests"), "OverviewMerge requestsIssuesInsightsSources");
    assert_eq!(nav("pull-requests"), "OverviewPull requestsInsightsSources");
    assert_eq!(nav("overview-jenkins"), "OverviewInsightsSources");
}

/// The card of a source, as text.
fn card(page_name: &str, source: &str) -> String {
    text_of(page(page_name), &format!("id=\"s-{source}\""), "</section>\n</div>\n</div>\n</section>")
}

#[track_caller]
fn assert_says(text: &str, all: &[&str]) {
    for words in all {
        assert!(text.contains(words), "{words:?} not in {text}");
    }
}

#[test]
fn a_source_says_how_it_is_what_is_left_and_what_is_due() {
    let gitlab = card("sources", "gitlab-main");
    let said =
        ["gitlab-main answers", "Age, median22 s", "Age, oldest46 m 00 s", "Due3 of 612", "Nextin 4 s"];
    assert_says(&gitlab, &said);
    assert_says(
        &gitlab,
        &["240 used, 1,760 of 2,000 left", "Full again in 40 s", "1,240 in the last hour, 60 % answered"],
    );
    assert_says(
        &gitlab,
        &[
            "The last one came 2 min ago (Pipeline Hook)",
            "They are relied upon",
            "1,204 applied · 3 sent twice",
        ],
    );
    assert_says(&gitlab, &["2 refused, the last one 3 h ago: the token does not match webhook_secret"]);
    assert!(!gitlab.contains("The limit allows") && !gitlab.contains("Never read"), "{gitlab}");

    let github = card("sources", "github-main");
    let slower = "The limit allows a reading of an active project every 3 m 58 s instead of every 45 s.";
    assert_says(&github, &[slower, "Never read12", "4,690 used, 310 of 5,000 left", "little is left"]);
    assert_says(
        &github,
        &["1,100 used, 3,900 of 5,000 left", "50 projects are asked about at once, for 2 points."],
    );
    assert_says(&github, &["Not set up", "webhook_secret", "https://ci.example.com/webhooks/github-main"]);
    assert_says(
        &card("sources", "jenkins-prod"),
        &["None came yet", "https://ci.example.com/webhooks/jenkins-prod"],
    );
    assert_says(
        &card("sources", "legacy"),
        &["sends none that are understood", "The platform tells of none"],
    );
}

#[test]
fn a_source_that_is_not_well_says_since_when_why_and_when_it_is_tried() {
    let down = card("sources-down", "jenkins-prod");
    assert_says(
        &down,
        &[
            "does not answer",
            "connection refused by jenkins.example.com:443",
            "For 20 min",
            "next try in 20 s",
        ],
    );
    assert_says(
        &card("sources-down", "teamcity"),
        &["never answered", "no connector for TeamCity", "It is not asked."],
    );
    assert_says(
        &card("sources-limited", "github-main"),
        &["waits for its rate limit", "0 of 5,000 left", "in 23 min"],
    );
    assert_says(
        &card("sources-failing", "gitlab-main"),
        &["answers only in part", "the list of projects ended early"],
    );
    assert_says(
        &card("sources-reading", "gitlab-main"),
        &["is read for the first time", "312 of 640 projects are read"],
    );
    assert!(
        page("sources-none").contains("GITHUB_TOKEN") && page("sources-away").contains("This page is from")
    );
}

#[test]
fn a_project_says_when_it_is_asked_and_why_then() {
    let asked = text_of(page("project"), "id=\"schedule\"", "</details>");
    assert_says(
        &asked,
        &["Last askednow: nothing new", "in 25 s, every 45 s: something happened within the last day"],
    );
    assert_says(&asked, &["they are relied upon", "allows a reading every 3 m 58 s instead"]);
    let paused = text_of(page("project-away"), "id=\"schedule\"", "</details>");
    assert_says(&paused, &["it failed: connection refused", "left alone", "in 40 s"]);
    assert!(!page("project-loading").contains("id=\"schedule\""));
}

#[test]
fn a_red_run_says_first_why() {
    let html = page("pipeline");
    assert_eq!(text_of(html, "id=\"h-failure\"", "</h2>"), "unit-tests failed: 3 of 1,204 tests");
    assert!(html.contains("assertion failed: fee(10.005) == 10.00, got 10.01"));
    let (failure, jobs) = (html.find("id=\"failure\"").unwrap(), html.find("id=\"jobs\"").unwrap());
    assert!(failure < jobs);
}

#[test]
fn what_is_kept_outside_of_memory_says_how_it_is() {
    let store = |name: &str, id: &str| text_of(page(name), &format!("id=\"{id}\""), "</section>");
    assert_says(
        &store("sources", "history"),
        &["History is written", "SQLite 3.50.4", "1 project’s earlier runs are still to be fetched"],
    );
    assert_says(&store("sources", "cache"), &["Cache is written", "Redis 8.2.2", "Everything is written."]);
    assert_says(
        &store("sources-failing", "history"),
        &["is not written", "does not answer; it is tried again", "For 12 min", "1,204 projects’ news wait"],
    );
    assert_says(
        &store("sources-failing", "cache"),
        &["is not written", "is full and evicts nothing", "1 entry waits to be written"],
    );
    assert!(!page("sources-failing").contains("<b>Redis</b>"));
    for none in ["sources-one", "sources-none"] {
        assert!(!page(none).contains("id=\"cache\"") && !page(none).contains("id=\"history\""), "{none}");
    }
}
