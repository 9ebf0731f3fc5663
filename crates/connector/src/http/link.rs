//! The `Link` header (RFC 8288).

use http::HeaderMap;
use http::header::LINK;

/// The target whose relation is `next`, as it stands there. Whatever is broken in a header hides only itself.
pub(super) fn next(headers: &HeaderMap) -> Option<&str> {
    headers.get_all(LINK).iter().find_map(|value| next_in(value.to_str().ok()?))
}

/// `<url>; rel="next", <url>; rel=last; title="a, b"`. A URL may hold commas, a quoted value anything.
fn next_in(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, from)) = rest.split_once('<') {
        let (target, after) = from.split_once('>')?;
        let (params, further) = split_unquoted(after, ',');
        if is_next(params) {
            return Some(target.trim());
        }
        rest = further;
    }
    None
}

/// Whether a link's parameters name `next` among its relations. Only the first `rel` counts.
fn is_next(params: &str) -> bool {
    let mut rest = params;
    while !rest.is_empty() {
        let (param, further) = split_unquoted(rest, ';');
        rest = further;
        let Some((name, value)) = param.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("rel") {
            let relations = value.trim().trim_matches('"');
            return relations.split_ascii_whitespace().any(|r| r.eq_ignore_ascii_case("next"));
        }
    }
    false
}

/// What stands before and after the first `at` that is in no quoted text.
fn split_unquoted(text: &str, at: char) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == at && !quoted => return (&text[..index], &text[index + c.len_utf8()..]),
            _ => {}
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_next_link_is_found_wherever_it_stands() {
        for (header, want) in [
            (
                r#"<https://a/x?page=2>; rel="next", <https://a/x?page=9>; rel="last""#,
                Some("https://a/x?page=2"),
            ),
            (r#"<https://a/x?a=1,2>; rel="prev", <https://a/y>; rel=next"#, Some("https://a/y")),
            (r#"<https://a/z>;title="t";REL="prev Next""#, Some("https://a/z")),
            (
                r#"<https://a/1>; title="a, <b>; rel=next"; rel="prev" , <https://a/2> ; rel = "next""#,
                Some("https://a/2"),
            ),
            (r#"<https://a/1>; title="a \", <x>; rel=\"next"; rel=prev"#, None),
            (r#"garbage, <https://a/2>; rel="next""#, Some("https://a/2")),
            ("<?page=2>; rel=next", Some("?page=2")),
            (r#"<https://a/x>; rel="last""#, None),
            (r#"<https://a/x>; rel="nextish""#, None),
            (r#"<https://a/x>; rel="last"; rel="next""#, None),
            (r#"<https://a/x>; title="rel=next""#, None),
            ("<https://a/x>", None),
            ("", None),
            ("<broken", None),
            ("<a>; rel=\"next", Some("a")),
        ] {
            assert_eq!(next_in(header), want, "{header}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        let mut headers = HeaderMap::new();
        assert_eq!(next(&headers), None);
        headers.append(LINK, "<https://a/9>; rel=last".parse().unwrap());
        headers.append(LINK, http::HeaderValue::from_bytes(b"<\xff>; rel=next").unwrap());
        headers.append(LINK, "<https://a/2>; rel=next".parse().unwrap());
        assert_eq!(next(&headers), Some("https://a/2"));
    }

    proptest! {
        #[test]
        fn no_header_panics(header in r#"[<>;,="\\ relnxté]{0,40}"#) {
            let _ = next_in(&header);
        }

        #[test]
        fn what_was_written_is_read(before in 0_usize..4, page in 0_u32..1000, title in r#"[a-z,;<>= ]{0,12}"#) {
            let other = format!(r#"<https://a/p?x=1,2;3>; title="{title}"; rel="last", "#);
            let header = format!(r#"{}<https://a/p?page={page}>; title="{title}"; rel="next""#, other.repeat(before));
            let want = format!("https://a/p?page={page}");
            prop_assert_eq!(next_in(&header), Some(want.as_str()));
        }
    }
}
