//! Where a source's API is, and what its names look like.

use connector::{Error, Result};
use domain::text;
use url::Url;

/// The API of bitbucket.org.
const CLOUD: &str = "https://api.bitbucket.org/2.0";

/// The base from what people write into `url`: of Cloud the API's address, of Data Center the site's, under any context
/// path, with or without `/rest/api/…` behind it. Which of the two it is does not follow from the address.
///
/// # Errors
/// In words, when the address can be none of an API.
pub(crate) fn base(url: &Url) -> std::result::Result<Url, String> {
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(format!("url has to be http:// or https://, with a host; it is {}://", url.scheme()));
    }
    let path = url.path().trim_end_matches('/');
    let is_site = matches!(url.host_str(), Some("bitbucket.org" | "www.bitbucket.org" | "api.bitbucket.org"));
    if is_site && path.is_empty() {
        return Url::parse(CLOUD).map_err(|e| e.to_string());
    }
    if matches!(url.host_str(), Some("bitbucket.org" | "www.bitbucket.org")) {
        return Err(format!("bitbucket.org{path} is a page, not an API: url is {CLOUD}"));
    }
    let site = path.find("/rest/api").filter(|at| matches!(path.as_bytes().get(at + 9), None | Some(b'/')));
    let mut base = url.clone();
    base.set_path(&path[..site.unwrap_or(path.len())]);
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

/// `workspace/repository` or `PROJECT/repository`, taken apart.
pub(crate) fn two_parts(full_name: &str) -> Option<(&str, &str)> {
    let (first, second) = full_name.trim().split_once('/')?;
    let fits = |part: &str| {
        !part.is_empty()
            && !matches!(part, "." | "..")
            && !part.contains(|c: char| c == '/' || c.is_whitespace())
    };
    (fits(first) && fits(second)).then_some((first, second))
}

/// The same of what has to be one.
///
/// # Errors
/// [`Error::NotFound`]: what no repository's name can be needs no question.
pub(crate) fn repository(full_name: &str) -> Result<(&str, &str)> {
    two_parts(full_name).ok_or_else(|| {
        let shown = text::line(full_name, text::MAX_TITLE);
        Error::NotFound(format!(
            "{shown:?} is no repository of Bitbucket's: expected workspace/repository or PROJECT/repository"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_found_from_what_people_write() {
        for (written, found) in [
            ("https://api.bitbucket.org/2.0", "https://api.bitbucket.org/2.0"),
            ("https://api.bitbucket.org/2.0/", "https://api.bitbucket.org/2.0"),
            ("https://api.bitbucket.org", "https://api.bitbucket.org/2.0"),
            ("https://bitbucket.org/", "https://api.bitbucket.org/2.0"),
            ("https://git.example.com", "https://git.example.com/"),
            ("https://git.example.com/bitbucket/", "https://git.example.com/bitbucket"),
            ("https://git.example.com/bitbucket/rest/api/1.0", "https://git.example.com/bitbucket"),
            ("https://git.example.com/rest/api/latest/", "https://git.example.com/"),
            ("https://git.example.com/rest/apiary", "https://git.example.com/rest/apiary"),
            ("http://127.0.0.1:9300/2.0?a=b#c", "http://127.0.0.1:9300/2.0"),
        ] {
            assert_eq!(
                base(&Url::parse(written).unwrap()).map(String::from).as_deref(),
                Ok(found),
                "{written}"
            );
        }
        assert!(
            base(&Url::parse("https://bitbucket.org/acme").unwrap()).is_err_and(|e| e.contains("a page"))
        );
        assert!(base(&Url::parse("ftp://git.example.com").unwrap()).is_err());
    }

    #[test]
    fn names_have_two_parts() {
        for good in ["acme/web", "PROJ/web", "~mira/dotfiles", "{uuid}/{uuid}", "a/b.c"] {
            assert!(two_parts(good).is_some(), "{good}");
        }
        for bad in ["", "acme", "acme/", "/web", "a/b/c", "a b/c", "a/..", "./a", "12"] {
            assert_eq!(two_parts(bad), None, "{bad:?}");
        }
        assert!(matches!(repository("x"), Err(Error::NotFound(_))));
    }
}
