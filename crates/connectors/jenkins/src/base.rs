//! Names: of jobs in URLs, of branches for people, and the two parts of a run's id.

use domain::{RunId, encode_segment};
use percent_encoding::percent_decode_str;
use url::Url;

/// The longest full name of a job that is asked for, in bytes: longer ones do not fit a request's line (8 KB with Jetty).
pub(crate) const MAX_FULL_NAME: usize = 1_500;

/// Jenkins' root from what people write into `url`: with or without a slash at its end, or the API's own address.
///
/// # Errors
/// In words, when the address can be none of a Jenkins.
pub(crate) fn root(url: &Url) -> Result<Url, String> {
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(format!("url has to be http:// or https://, with a host; it is {}://", url.scheme()));
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/api/json").or_else(|| path.strip_suffix("/api")).unwrap_or(path);
    let mut base = url.clone();
    base.set_path(path.trim_end_matches('/'));
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

/// Whether a watched name could be a job's full name. Jenkins lets no name have these characters; `%` stands in the
/// names of branches.
pub(crate) fn could_be_job(name: &str) -> bool {
    let refused = |c: char| c.is_control() || matches!(c, '?' | '*' | '\\' | '[' | ']' | '<' | '>' | '|');
    let name = full_name(name);
    !name.is_empty()
        && name.len() <= MAX_FULL_NAME
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !name.contains(refused)
}

/// A full name as people write it, without slashes around it.
pub(crate) fn full_name(name: &str) -> &str {
    name.trim().trim_matches('/')
}

/// The segments of a URL to a job: `a/b` is `job`, `a`, `job`, `b`. The client encodes each.
pub(crate) fn segments(full_name: &str) -> Vec<&str> {
    full_name.split('/').filter(|part| !part.is_empty()).flat_map(|part| ["job", part]).collect()
}

/// The path of a job's page below Jenkins' root.
pub(crate) fn page(full_name: &str) -> String {
    segments(full_name).into_iter().map(|part| format!("{}/", encode_segment(part))).collect()
}

/// `parent/name`, at the root just the name.
pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

/// A name for people: child jobs of multibranch and organization folders keep theirs encoded.
pub(crate) fn display(name: &str) -> String {
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

/// Whether a child of a multibranch job is a pull or merge request: the branch sources of GitHub, Bitbucket, Gitea and
/// GitLab name these so.
pub(crate) fn is_change_request(child: &str) -> bool {
    let number = child.strip_prefix("PR-").or_else(|| child.strip_prefix("MR-"));
    let number = number.map(|n| n.strip_suffix("-head").or_else(|| n.strip_suffix("-merge")).unwrap_or(n));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The id of a run: of a job's own, or of one of its children.
pub(crate) fn run_id(child: Option<&str>, number: u64) -> RunId {
    match child {
        Some(child) => RunId::new(format!("{child}/{number}")),
        None => RunId::from(number),
    }
}

/// Child and number of a run's id; `None` when it is none of ours.
pub(crate) fn parse_run(id: &RunId) -> Option<(Option<&str>, u64)> {
    match id.as_str().rsplit_once('/') {
        Some((child, number)) if !child.is_empty() && !child.contains('/') => {
            Some((Some(child), number.parse().ok()?))
        }
        Some(_) => None,
        None => Some((None, id.as_str().parse().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_a_jenkins() {
        for (written, base) in [
            ("https://ci.example.com", "https://ci.example.com/"),
            ("https://ci.example.com/jenkins/", "https://ci.example.com/jenkins"),
            ("https://ci.example.com/jenkins/api/json?tree=x", "https://ci.example.com/jenkins"),
            ("https://ci.example.com/a/b/api/", "https://ci.example.com/a/b"),
            ("http://127.0.0.1:8080#x", "http://127.0.0.1:8080/"),
        ] {
            assert_eq!(root(&Url::parse(written).unwrap()).unwrap().as_str(), base, "{written}");
        }
        assert!(root(&Url::parse("ftp://ci.example.com").unwrap()).is_err());
    }

    #[test]
    fn names_of_jobs() {
        for (name, could) in [
            ("job", true),
            ("a/b c/d", true),
            ("mb/feature%2Fx", true),
            ("/a/", true),
            ("这是一个", true),
            ("", false),
            ("/", false),
            ("a//b", false),
            ("a/../b", false),
            ("what?", false),
            ("a*", false),
        ] {
            assert_eq!(could_be_job(name), could, "{name:?}");
        }
        assert!(!could_be_job(&"x".repeat(MAX_FULL_NAME + 1)));
        assert_eq!(segments("a/feature%2Fx"), ["job", "a", "job", "feature%2Fx"]);
        assert_eq!(page("a/feature%2Fx"), "job/a/job/feature%252Fx/");
        assert_eq!(display("feature%2F%C3%BC%23"), "feature/ü#");
    }

    #[test]
    fn pull_requests_are_told_from_branches() {
        for name in ["PR-12", "MR-3", "PR-7-head", "PR-7-merge"] {
            assert!(is_change_request(name), "{name}");
        }
        for name in ["PR-", "PR-x", "pr-1", "main", "PR-7-other", "PR-head", "XPR-1"] {
            assert!(!is_change_request(name), "{name}");
        }
    }

    #[test]
    fn ids_of_runs() {
        for (child, number) in [(None, 7), (Some("main"), 7), (Some("feature%2Fx"), 12)] {
            assert_eq!(parse_run(&run_id(child, number)), Some((child, number)));
        }
        for id in ["", "x", "main/", "main/x", "/7", "a/b/7", "-1"] {
            assert_eq!(parse_run(&RunId::new(id)), None, "{id:?}");
        }
    }
}
