//! Keys survive every way that they are written, whatever a platform puts into an id.

use domain::{NativeId, ProjectKey, SourceName, WebUrl, decode_segment, encode_segment, text};
use proptest::prelude::*;

fn source() -> impl Strategy<Value = SourceName> {
    "[A-Za-z0-9_-][A-Za-z0-9._-]{0,40}".prop_filter_map("no name", |s| SourceName::new(s).ok())
}

proptest! {
    #[test]
    fn text_and_path_round_trip(source in source(), id in any::<String>().prop_filter("empty", |s| !s.is_empty())) {
        let key = ProjectKey::new(source, NativeId::new(&id));
        prop_assert_eq!(&key.to_string().parse::<ProjectKey>().unwrap(), &key);
        let path = key.to_path();
        let (source, id) = path.split_once('/').unwrap();
        prop_assert!(!id.contains(['/', '?', '#', ' ', '+']), "one segment: {}", id);
        prop_assert_eq!(ProjectKey::from_path(source, id).unwrap(), key);
    }

    #[test]
    fn two_keys_never_share_a_text(a in (source(), "[a-c:/%]{1,6}"), b in (source(), "[a-c:/%]{1,6}")) {
        let key = |(s, id): &(SourceName, String)| ProjectKey::new(s.clone(), NativeId::new(id));
        let (a, b) = (key(&a), key(&b));
        prop_assert_eq!(a == b, a.to_string() == b.to_string());
        prop_assert_eq!(a == b, a.to_path() == b.to_path());
    }

    #[test]
    fn a_line_is_one_bounded_line(input in any::<String>(), max in 1..50_usize) {
        let line = text::line(&input, max);
        prop_assert!(line.chars().count() <= max + 1);
        let acts = |c: char| c.is_control() || ('\u{202A}'..='\u{202E}').contains(&c);
        prop_assert!(!line.chars().any(acts), "nothing in it acts");
    }

    #[test]
    fn a_link_is_http_or_none(input in any::<String>()) {
        if let Some(url) = WebUrl::parse(&input) {
            prop_assert!(url.as_str().to_lowercase().starts_with("http"));
        }
    }
}

#[test]
fn segments_that_a_client_would_resolve_away_are_encoded() {
    for segment in [".", "..", "owner/repo", "%2F", "a b", "ü/ß"] {
        let encoded = encode_segment(segment);
        assert!(encoded != "." && encoded != "..");
        assert_eq!(decode_segment(&encoded).unwrap(), segment);
    }
}

#[test]
fn names_that_would_break_keys_are_refused() {
    for name in ["", ".", "..", "a b", "a:b", "a/b", "ü", &"x".repeat(65)] {
        assert!(SourceName::new(name).is_err(), "{name:?}");
    }
    assert!("no-colon".parse::<ProjectKey>().is_err());
    assert!("source:".parse::<ProjectKey>().is_err());
    assert!(ProjectKey::from_path("gl", "%ff").is_err());
}

#[test]
fn what_would_act_instead_of_being_read_is_no_link_and_no_text() {
    for link in
        ["javascript:alert(1)", "data:text/html,x", "//evil", "/x", "http://", "https://a b", "HTTP:x"]
    {
        assert_eq!(WebUrl::parse(link), None, "{link}");
    }
    assert!(WebUrl::parse("https://gitlab.com/a/-/pipelines/1").is_some());
    assert_eq!(text::line("a\u{202E}b\0\nc\u{2066}", 20), "ab c");
    assert_eq!(text::line("שלום עולם", 20), "שלום עולם");
    assert_eq!(text::line(&"x".repeat(1_000_000), 4), "xxxx…");
}
