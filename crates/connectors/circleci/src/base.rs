//! Where a source's API is, where its pages are, and what its slugs look like.

use domain::{WebUrl, encode_segment};
use url::Url;

/// CircleCI's own sites; their API is at `circleci.com`.
const CLOUD: [&str; 3] = ["circleci.com", "www.circleci.com", "app.circleci.com"];
/// The longest part of a slug: GitHub's and Bitbucket's names are shorter.
const MAX_PART: usize = 100;

/// The API's base from what people write into `url`: a site, or the API itself.
///
/// # Errors
/// In words, when the address can be none of an API.
pub(crate) fn api_base(url: &Url) -> Result<Url, String> {
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    let cloud = base.host_str().is_some_and(|host| CLOUD.contains(&host));
    if cloud {
        base.set_host(Some(CLOUD[0])).map_err(|e| e.to_string())?;
    }
    let path = base.path().trim_end_matches('/').to_owned();
    let path = match path.as_str() {
        p if p.ends_with("/api/v2") => p.to_owned(),
        p if p.ends_with("/api") => format!("{p}/v2"),
        p if p.ends_with("/api/v1.1") || p.ends_with("/api/v1") => {
            return Err(
                "url is the address of API v1; API v2 is read: https://circleci.com/api/v2".to_owned()
            );
        }
        p if cloud && !p.is_empty() => {
            return Err(format!("{CLOUD_PAGE}{p} is a page, not an API: url is https://circleci.com/api/v2"));
        }
        p => format!("{p}/api/v2"),
    };
    base.set_path(&path);
    Ok(base)
}

const CLOUD_PAGE: &str = "https://circleci.com";

/// A URL of API v1.1, which lies beside v2.
pub(crate) fn v1(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    let mut path = base.path().trim_end_matches("/v2").to_owned();
    path.push_str("/v1.1");
    for segment in segments {
        path.push('/');
        path.push_str(&encode_segment(segment));
    }
    url.set_path(&path);
    url
}

/// Where people look at what the API tells: `…/pipelines/github/acme/web` and what lies below it.
pub(crate) fn page(base: &Url, slug: &Slug<'_>, below: &[&str]) -> Option<WebUrl> {
    let mut url = match base.host_str() {
        Some(host) if CLOUD.contains(&host) => "https://app.circleci.com".to_owned(),
        Some(_) => base.origin().ascii_serialization(),
        None => return None,
    };
    let vcs = match slug.vcs {
        "gh" => "github",
        "bb" => "bitbucket",
        other => other,
    };
    url.push_str("/pipelines");
    for part in [vcs, slug.org, slug.project].iter().chain(below) {
        url.push('/');
        url.push_str(&encode_segment(part));
    }
    WebUrl::parse(&url)
}

/// A project's slug, taken apart: `gh/acme/web`, `bb/acme/web`, `circleci/<organization's id>/<project's id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slug<'a> {
    pub(crate) vcs: &'a str,
    pub(crate) org: &'a str,
    pub(crate) project: &'a str,
}

impl<'a> Slug<'a> {
    /// Reads a slug of three parts; `github` and `bitbucket` are the same as `gh` and `bb`.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.trim().trim_matches('/').split('/');
        let (vcs, org, project) = (parts.next()?, parts.next()?, parts.next()?);
        let fits = |part: &str| {
            (1..=MAX_PART).contains(&part.len())
                && !matches!(part, "." | "..")
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        (parts.next().is_none() && fits(org) && fits(project))
            .then(|| Some(Self { vcs: vcs_of(vcs)?, org, project }))
            .flatten()
    }

    /// All slugs that a watched name may mean: itself, or a repository on GitHub or Bitbucket.
    pub(crate) fn meant(text: &str) -> Vec<String> {
        let text = text.trim().trim_matches('/');
        if let Some(slug) = Slug::parse(text) {
            return vec![slug.to_string()];
        }
        let guesses = ["gh", "bb"].map(|vcs| format!("{vcs}/{text}"));
        guesses.into_iter().filter(|g| Slug::parse(g).is_some()).collect()
    }

    /// As the segments of a path.
    pub(crate) const fn segments(&self) -> [&'a str; 3] {
        [self.vcs, self.org, self.project]
    }
}

impl std::fmt::Display for Slug<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.vcs, self.org, self.project)
    }
}

fn vcs_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "gh" | "github" => "gh",
        "bb" | "bitbucket" => "bb",
        "circleci" => "circleci",
        _ => return None,
    })
}

/// An organization's slug from what the settings say: `gh/acme`, `github/acme`, or `acme`, which is GitHub's.
pub(crate) fn organization(text: &str) -> String {
    let text = text.trim().trim_matches('/');
    match text.split_once('/') {
        Some((vcs, org)) => format!("{}/{org}", vcs_of(vcs).unwrap_or(vcs)),
        None => format!("gh/{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> Result<String, String> {
        api_base(&Url::parse(text).unwrap()).map(String::from)
    }

    #[test]
    fn the_api_is_found_from_what_people_write() {
        for (written, api) in [
            ("https://circleci.com/api/v2", "https://circleci.com/api/v2"),
            ("https://circleci.com/api/v2/", "https://circleci.com/api/v2"),
            ("https://circleci.com", "https://circleci.com/api/v2"),
            ("https://app.circleci.com/", "https://circleci.com/api/v2"),
            ("https://circleci.com/api", "https://circleci.com/api/v2"),
            ("https://ci.example.com", "https://ci.example.com/api/v2"),
            ("https://ci.example.com/circle/", "https://ci.example.com/circle/api/v2"),
            ("http://127.0.0.1:9300?x#y", "http://127.0.0.1:9300/api/v2"),
        ] {
            assert_eq!(base(written).as_deref(), Ok(api), "{written}");
        }
        assert!(base("https://circleci.com/api/v1.1").is_err_and(|e| e.contains("v2")));
        assert!(base("https://app.circleci.com/pipelines/github/acme").is_err_and(|e| e.contains("page")));
    }

    #[test]
    fn pages_and_the_older_api_lie_beside_it() {
        let slug = Slug::parse("github/acme/we.b").unwrap();
        let cloud = Url::parse("https://circleci.com/api/v2").unwrap();
        let own = Url::parse("https://ci.example.com:8443/x/api/v2").unwrap();
        let page = |base: &Url, below: &[&str]| page(base, &slug, below).unwrap().to_string();
        assert_eq!(page(&cloud, &[]), "https://app.circleci.com/pipelines/github/acme/we.b");
        assert_eq!(
            page(&own, &["12", "workflows", "a b"]),
            "https://ci.example.com:8443/pipelines/github/acme/we.b/12/workflows/a%20b"
        );
        let v1 = |base| v1(base, &["project", "gh", "a/b"]).to_string();
        assert_eq!(v1(&cloud), "https://circleci.com/api/v1.1/project/gh/a%2Fb");
        assert_eq!(v1(&own), "https://ci.example.com:8443/x/api/v1.1/project/gh/a%2Fb");
    }

    #[test]
    fn names_lead_to_slugs() {
        let uuids = "circleci/8e4z1Akd74woxagxnvLT5q/V29Cenkg8EaiSZARmWm8Lz";
        for (name, slugs) in [
            ("gh/acme/web", &["gh/acme/web"][..]),
            ("github/acme/web", &["gh/acme/web"]),
            ("/bitbucket/acme/web/", &["bb/acme/web"]),
            (uuids, &[uuids]),
            ("acme/web", &["gh/acme/web", "bb/acme/web"]),
            ("acme", &[]),
            ("123", &[]),
            ("", &[]),
            ("gl/acme/web", &[]),
            ("gh/acme/web/sub", &[]),
            ("gh/acme/..", &[]),
            ("acme/we b", &[]),
            ("gh/acme/?x", &[]),
        ] {
            assert_eq!(Slug::meant(name), slugs, "{name}");
        }
    }

    #[test]
    fn organizations_are_written_in_three_ways() {
        for (written, slug) in [
            ("acme", "gh/acme"),
            ("github/acme", "gh/acme"),
            (" bb/acme/ ", "bb/acme"),
            ("circleci/x", "circleci/x"),
        ] {
            assert_eq!(organization(written), slug);
        }
    }
}
