//! Where a source's API is, and what its names look like.

use url::Url;

/// Below a site, under whatever path prefix it is served.
const API: &str = "/api/v1";
/// The longest owner name that Gitea gives.
const MAX_OWNER: usize = 40;
/// The longest repository name that Gitea gives.
const MAX_REPOSITORY: usize = 100;

/// The API's base from what people write into `url`: the address of the site, under any path prefix, with or without a
/// trailing slash, or that of the API itself.
///
/// # Errors
/// In words, when the address can be none of an API.
pub(crate) fn api_base(url: &Url) -> Result<Url, String> {
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(format!("url has to be http:// or https://, with a host; it is {}://", url.scheme()));
    }
    let path = url.path().trim_end_matches('/');
    // The page that shows the API is what people find first.
    let site = ["/api/swagger", API, "/api"].iter().find_map(|tail| path.strip_suffix(tail)).unwrap_or(path);
    let mut base = url.clone();
    base.set_path(&format!("{}{API}", site.trim_end_matches('/')));
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

/// `owner/repository` in Gitea's alphabet, taken apart.
pub(crate) fn owner_and_name(full_name: &str) -> Option<(&str, &str)> {
    let (owner, name) = full_name.split_once('/')?;
    let fits = |text: &str, max: usize| {
        (1..=max).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !matches!(text, "." | "..")
    };
    (fits(owner, MAX_OWNER) && fits(name, MAX_REPOSITORY)).then_some((owner, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_of_a_site_leads_to_its_api() {
        for (written, base) in [
            ("https://git.example.com", "https://git.example.com/api/v1"),
            ("https://git.example.com/", "https://git.example.com/api/v1"),
            ("https://git.example.com/api/v1", "https://git.example.com/api/v1"),
            ("https://git.example.com/api/v1/", "https://git.example.com/api/v1"),
            ("https://git.example.com/api", "https://git.example.com/api/v1"),
            ("https://git.example.com/api/swagger", "https://git.example.com/api/v1"),
            ("https://host/git", "https://host/git/api/v1"),
            ("https://host/git//", "https://host/git/api/v1"),
            ("https://host/git/api/v1/", "https://host/git/api/v1"),
            ("http://127.0.0.1:3000?token=x#y", "http://127.0.0.1:3000/api/v1"),
        ] {
            assert_eq!(api_base(&Url::parse(written).unwrap()).unwrap().as_str(), base, "{written}");
        }
        assert!(api_base(&Url::parse("ssh://git.example.com").unwrap()).is_err_and(|e| e.contains("ssh://")));
    }

    #[test]
    fn names_are_owner_and_repository() {
        for good in ["acme/web", "a/b", "acme.corp/.profile", "a_b/x-y_z.1"] {
            assert!(owner_and_name(good).is_some(), "{good}");
        }
        let long = format!("{}/x", "a".repeat(41));
        for bad in ["", "acme", "acme/", "/web", "a/b/c", "a b/c", "ä/b", "../x", "a/..", &long] {
            assert!(owner_and_name(bad).is_none(), "{bad}");
        }
    }
}
