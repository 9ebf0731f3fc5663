//! Names, words, times and links in every spelling.

use connector::Error;
use domain::{ProblemKind, Status};
use wiremock::ResponseTemplate;

use crate::server::Server;

/// The feed of the format's description, of GoCD and of an imagination.
const FEED: &str = r#"
  <Project name="pipeline :: build :: unit" activity="Sleeping" lastBuildStatus="Success" lastBuildLabel="8" lastBuildTime="2005-09-28T10:30:34.6362160+01:00" webUrl="http://localhost/1" nextBuildTime="2005-10-04T14:31:52.4509248+01:00"/>
  <Project name="Grüße &amp; Küsse" activity="Building" lastBuildStatus="Failure" lastBuildLabel="13 :: 1" lastBuildTime="2005-09-15T17:33:07" webUrl="http://localhost/2" lastBuildMessages="x"><messages><message text="alice" kind="Breakers"/><message text="a &lt;b&gt; &#x263A;" kind="FailingTasks"/><message text="bob" kind="Fixer"/></messages></Project>
  <Project name="exception" activity="CheckingModifications" lastBuildStatus="Exception" lastBuildLabel="" lastBuildTime="2024-01-01T00:00:00Z" webUrl="http://localhost/3"/>
  <Project name="never" activity="Sleeping" lastBuildStatus="Unknown" webUrl="http://localhost/4"/>
  <Project name="odd" activity="Dreaming" lastBuildStatus="Marvellous" lastBuildTime="not a time" webUrl="javascript:alert(1)"/>"#;

#[tokio::test]
async fn a_feed_is_what_it_says() {
    let server = Server::start().await;
    server.feed(FEED);
    let read = server.read().await.unwrap();
    assert_eq!(read.len(), 5);

    let (project, heads) = &read["pipeline :: build :: unit"];
    assert_eq!(project.key.to_string(), "feed:pipeline :: build :: unit");
    assert_eq!(project.url.as_ref().map(|u| u.as_str()), Some("http://localhost/1"));
    let run = &heads.pipelines[0];
    assert_eq!((run.status, run.number, run.branch.as_ref()), (Status::Success, Some(8), None));
    assert_eq!(run.id.as_str(), "8 @ 2005-09-28T09:30:34.636216Z");
    assert_eq!(run.finished_at.map(|t| t.to_string()).as_deref(), Some("2005-09-28T09:30:34.636216Z"));

    let (_, heads) = &read["Grüße & Küsse"];
    let [running, last] = heads.pipelines.as_slice() else { panic!("{heads:?}") };
    assert_eq!((running.status, running.native_status.as_str()), (Status::Running, "Building"));
    assert_eq!((last.status, last.native_status.as_str()), (Status::Failed, "Failure"));
    assert_eq!((last.number, last.message.as_deref()), (None, Some("Build 13 :: 1")));
    assert_eq!(last.author.as_ref().map(|a| a.name.as_str()), Some("alice"));
    assert_eq!(last.failure.as_deref(), Some("a <b> ☺"));
    assert_eq!(last.finished_at.map(|t| t.to_string()).as_deref(), Some("2005-09-15T17:33:07Z"));
    assert_eq!((running.author.as_ref(), running.failure.as_ref()), (None, None));

    let (_, heads) = &read["exception"];
    assert_eq!(heads.pipelines.iter().map(|r| r.status).collect::<Vec<_>>(), [Status::Failed]);

    let (_, heads) = &read["never"];
    assert_eq!((heads.pipelines.len(), heads.problems[0].kind), (0, ProblemKind::NoCi));

    let (project, heads) = &read["odd"];
    assert_eq!((project.url.as_ref(), heads.pipelines[0].url.as_ref()), (None, None));
    assert_eq!(heads.pipelines.len(), 1);
    assert_eq!(heads.pipelines[0].status, Status::Unknown);
    assert_eq!(heads.pipelines[0].native_status, "Marvellous");
}

#[tokio::test]
async fn times_come_in_every_form() {
    let server = Server::start().await;
    for (written, read) in [
        ("2005-09-28T10:30:34.6362160+01:00", Some("2005-09-28T09:30:34.636216Z")),
        ("2026-11-24T10:00:00Z", Some("2026-11-24T10:00:00Z")),
        ("2026-11-24T10:00:00", Some("2026-11-24T10:00:00Z")),
        ("2026-11-24T12:00:00.000+0200", Some("2026-11-24T10:00:00Z")),
        ("2026-11-24 10:00:00 UTC", Some("2026-11-24T10:00:00Z")),
        ("2026-11-24 10:00:00", Some("2026-11-24T10:00:00Z")),
        ("0001-01-01T00:00:00.0000000", None),
        ("1970-01-01T00:00:00Z", None),
        ("not a time", None),
        ("", None),
    ] {
        server.feed(&format!(
            r#"<Project name="p" activity="Sleeping" lastBuildStatus="Success" lastBuildLabel="1" lastBuildTime="{written}"/>"#
        ));
        let runs = server.runs(&[]).await;
        assert_eq!(runs[0].finished_at.map(|t| t.to_string()).as_deref(), read, "{written}");
        assert!(runs[0].created_at.is_some(), "{written}: at least when it was first seen");
    }
}

#[tokio::test]
async fn only_links_of_the_web_are_links() {
    let server = Server::start().await;
    let long = format!("http://x/{}", "a".repeat(4000));
    for (written, kept) in [
        ("https://ci.example.com/go/tab/build/detail/p/1", true),
        ("http://[::1]:8153/x", true),
        ("javascript:alert(1)", false),
        ("data:text/html,x", false),
        ("/relative", false),
        ("", false),
        (&long, false),
    ] {
        server.feed(&format!(r#"<Project name="p" lastBuildStatus="Success" webUrl="{written}"/>"#));
        let read = server.read().await.unwrap();
        assert_eq!(read["p"].0.url.is_some(), kept, "{written}");
        assert_eq!(read["p"].1.pipelines[0].url.is_some(), kept, "{written}");
    }
}

#[tokio::test]
async fn names_are_free_text() {
    let server = Server::start().await;
    let long = "n".repeat(100_000);
    server.feed(&format!(
        r#"<Project name="a/b %2F ?x#y" lastBuildStatus="Success"/>
           <Project name="  two&#10;lines&#9;and a &quot;quote&quot; " lastBuildStatus="Success"/>
           <Project name="שלום" lastBuildStatus="Success"/>
           <Project name="twice" lastBuildStatus="Success"/><Project name="twice" lastBuildStatus="Failure"/>
           <Project name=".." lastBuildStatus="Success"/>
           <Project name="" lastBuildStatus="Failure"/><Project lastBuildStatus="Failure"/>
           <Project name="{long}" lastBuildStatus="Success"/>"#
    ));
    let read = server.read().await.unwrap();
    let names: Vec<_> = read.keys().map(String::as_str).collect();
    let cut = format!("{}…", "n".repeat(512));
    assert_eq!(names, ["..", "a/b %2F ?x#y", &cut, "twice", "twice #2", "two lines and a \"quote\"", "שלום"]);
    assert_eq!(read["twice #2"].1.pipelines[0].status, Status::Failed);
    assert!(server.source.project("SHALOM").await.is_err());
    assert_eq!(server.source.project("TWICE").await.unwrap().name, "twice");
    assert_eq!(server.source.project("A/B %2f ?X#Y").await.unwrap().name, "a/b %2F ?x#y");
    for (name, could) in [("x", true), ("a/b", true), ("", false), (" ", false), (&long, false)] {
        assert_eq!(server.source.could_hold(name), could);
    }
}

#[tokio::test]
async fn elements_and_attributes_are_found_however_they_are_written() {
    let server = Server::start().await;
    let project = |extra: &str| {
        format!(r#"<Project {extra} NAME='p' Activity="Sleeping" LastBuildStatus = "success"></Project>"#)
    };
    for body in [
        format!("<Projects>{}</Projects>", project("")),
        format!("\u{FEFF}\n<!-- made by hand --><?pi x?><projects>{}</projects>", project("x=''")),
        format!("<CruiseControl><Projects>{}</Projects><Queues/></CruiseControl>", project("")),
        format!("<c:Projects xmlns:c='urn:c'>{}</c:Projects>", project("xmlns:c='y' c:name2='z'")),
        format!(
            "<!DOCTYPE Projects SYSTEM \"http://x/y.dtd\"><Projects><![CDATA[<Project/>]]>{}</Projects>",
            project("")
        ),
    ] {
        server.body(body.clone());
        let read = server.read().await.unwrap_or_else(|e| panic!("{body}: {e}"));
        assert_eq!(read.len(), 1, "{body}");
        assert_eq!(read["p"].1.pipelines[0].status, Status::Success, "{body}");
    }
    server.feed("");
    assert!(server.read().await.unwrap().is_empty(), "no projects are no mistake");
}

#[tokio::test]
async fn what_is_no_feed_is_named_in_one_sentence() {
    let server = Server::start().await;
    for (body, got) in [
        ("<!doctype html><html><body>Sign in</body></html>", "an HTML page (is this a login page?)"),
        ("<html><p>unclosed<br></html>", "an HTML page (is this a login page?)"),
        ("  {\"items\":[]}", "JSON"),
        ("[]", "JSON"),
        ("", "an empty body"),
        (" \n ", "an empty body"),
        ("ok", "text that is no XML"),
        ("<rss version='2.0'><channel/></rss>", "XML of another kind: <rss>"),
        ("<CruiseControl/>", "XML without <Projects>"),
        ("<!-- nothing -->", "XML without <Projects>"),
        ("<Projects><Project name='p'", "a broken feed"),
        ("<Projects><Project name='p'/>", "a feed that ends in its middle"),
        ("<Projects><Project name='p'></Projects>", "a broken feed"),
        ("<Projects><Project name=p/></Projects>", "a broken feed"),
    ] {
        server.body(body);
        let error = server.refusal().await;
        let Error::Garbage(text) = &error else { panic!("{body}: {error:?}") };
        let begin = format!("expected a cctray feed (XML with <Projects>) at {}, got {got}", server.place());
        assert!(text.starts_with(&begin), "{body}: {text}");
        assert!(text.lines().count() == 1 && text.len() < 400, "{text}");
    }
}

#[tokio::test]
async fn the_address_is_the_feeds_own() {
    let server = Server::start().await;
    server.feed(r#"<Project name="p" lastBuildStatus="Success"/>"#);
    server.read().await.unwrap();
    let asked = server.requests().await;
    assert_eq!(asked[0].url.path(), "/go/cctray.xml");
    assert_eq!(asked[0].url.query(), Some("branch=main"));

    for (status, is) in [
        (401, (|e| matches!(e, Error::Unauthorized(_))) as fn(&Error) -> bool),
        (403, |e| matches!(e, Error::Forbidden(_))),
        (404, |e| matches!(e, Error::NotFound(_))),
        (429, |e| matches!(e, Error::RateLimited { .. })),
    ] {
        let server = Server::start().await;
        server.answer(ResponseTemplate::new(status).insert_header("retry-after", "120"));
        let error = server.refusal().await;
        assert!(is(&error), "{status}: {error:?}");
        assert!(!error.to_string().contains("branch=main"), "a query may hold a token: {error}");
    }
    let server = Server::start().await;
    server.answer(ResponseTemplate::new(302).insert_header("location", "https://login.example.com/?next=x"));
    let error = server.refusal().await;
    assert!(matches!(&error, Error::Redirect(text) if text.contains("login.example.com")), "{error:?}");
}
