//! Where a source's API is, and what its names look like.

use url::Url;

/// The API of github.com.
const GITHUB_COM: &str = "https://api.github.com/";
/// The longest owner name that GitHub gives.
const MAX_OWNER: usize = 39;
/// The longest repository name that GitHub gives.
const MAX_REPOSITORY: usize = 100;

/// The API's base from what people write into `url`: the address of the API itself, or a site whose API is known to be
/// elsewhere (github.com and the subdomains of ghe.com). A GitHub Enterprise Server's API is below its `/api/v3`; the
/// path is taken as written, since a proxy may serve it anywhere.
///
/// # Errors
/// In words, when the address can be none of an API.
pub(crate) fn api_base(url: &Url) -> Result<Url, String> {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let path = url.path().trim_end_matches('/');
    let site = match host.as_str() {
        "github.com" | "www.github.com" => Some(GITHUB_COM.to_owned()),
        // Data residency: the site is SUBDOMAIN.ghe.com, its API api.SUBDOMAIN.ghe.com.
        h if h.ends_with(".ghe.com") && !h.starts_with("api.") => Some(format!("https://api.{h}/")),
        _ => None,
    };
    if path.ends_with("/graphql") {
        return Err(format!(
            "{} is the GraphQL endpoint; url is the REST API: {GITHUB_COM} or https://HOST/api/v3",
            shown(url)
        ));
    }
    if let Some(api) = site {
        return if path.is_empty() {
            Url::parse(&api).map_err(|e| format!("{api}: {e}"))
        } else {
            Err(format!("{} is a page, not an API: url is {api}", shown(url)))
        };
    }
    let mut base = url.clone();
    base.set_path(path);
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

/// Where GraphQL is, beside a REST API: `/graphql` below github.com's, `/api/graphql` beside a server's `/api/v3`.
pub(crate) fn graphql(base: &Url) -> Url {
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/');
    let site = path.strip_suffix("/v3").filter(|site| site.ends_with("/api"));
    url.set_path(&format!("{}/graphql", site.unwrap_or(path)));
    url
}

/// Scheme, host and path: whatever else stands in a URL might be a secret.
fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}

/// `owner/repository` in GitHub's alphabet, taken apart.
pub(crate) fn owner_and_name(full_name: &str) -> Option<(&str, &str)> {
    let (owner, name) = full_name.split_once('/')?;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    // An underscore stands in the logins of managed users (`anna_acme`).
    let owner_fits = (1..=MAX_OWNER).contains(&owner.len()) && owner.chars().all(word);
    let name_fits = (1..=MAX_REPOSITORY).contains(&name.len())
        && name.chars().all(|c| word(c) || c == '.')
        && !matches!(name, "." | "..");
    (owner_fits && name_fits).then_some((owner, name))
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
            ("https://api.github.com", "https://api.github.com/"),
            ("https://api.github.com/", "https://api.github.com/"),
            ("https://github.com", "https://api.github.com/"),
            ("https://www.github.com/", "https://api.github.com/"),
            ("https://GitHub.com", "https://api.github.com/"),
            ("https://acme.ghe.com", "https://api.acme.ghe.com/"),
            ("https://api.acme.ghe.com", "https://api.acme.ghe.com/"),
            ("https://git.example.com/api/v3", "https://git.example.com/api/v3"),
            ("https://git.example.com/api/v3/", "https://git.example.com/api/v3"),
            ("https://example.com/git/api/v3//", "https://example.com/git/api/v3"),
            ("http://127.0.0.1:9300", "http://127.0.0.1:9300/"),
        ] {
            assert_eq!(base(written).as_deref(), Ok(api), "{written}");
        }
    }

    #[test]
    fn graphql_is_beside_the_rest_api() {
        for (api, want) in [
            ("https://api.github.com/", "https://api.github.com/graphql"),
            ("https://api.acme.ghe.com/", "https://api.acme.ghe.com/graphql"),
            ("https://git.example.com/api/v3", "https://git.example.com/api/graphql"),
            ("https://example.com/git/api/v3/", "https://example.com/git/api/graphql"),
            ("http://127.0.0.1:9300/", "http://127.0.0.1:9300/graphql"),
        ] {
            assert_eq!(graphql(&Url::parse(api).unwrap()).as_str(), want);
        }
    }

    #[test]
    fn what_is_no_rest_api_is_told_apart() {
        let page = base("https://github.com/acme").unwrap_err();
        assert!(page.contains("a page") && page.contains("https://api.github.com"), "{page}");
        assert!(base("https://user:hush@github.com/acme?token=hush").is_err_and(|e| !e.contains("hush")));
        assert!(base("https://git.example.com/api/graphql").is_err_and(|e| e.contains("GraphQL")));
    }

    #[test]
    fn names_are_owner_and_repository() {
        for good in ["acme/web", "a/b", "octo-org/.github", "anna_acme/x_y.z-1", "A1/B2"] {
            assert!(owner_and_name(good).is_some(), "{good}");
        }
        let long = format!("{}/x", "a".repeat(40));
        for bad in [
            "",
            "acme",
            "acme/",
            "/web",
            "a/b/c",
            "123",
            "acme/we b",
            "acme/wéb",
            "ac me/web",
            "acme/..",
            "acme/.",
            "group.x/web",
            "acme/web?x",
            &long,
        ] {
            assert_eq!(owner_and_name(bad), None, "{bad}");
        }
    }
}
