//! Where a source's API is.

use url::Url;

/// The REST API's base from what people write into `url`: the address of the site, under any path prefix, with or
/// without a trailing slash, or that of the API itself.
///
/// # Errors
/// In words, when the address can be none of an API.
pub(crate) fn api_base(url: &Url) -> Result<Url, String> {
    let path = url.path().trim_end_matches('/');
    if path.ends_with("/api/graphql") {
        return Err(
            "url is the GraphQL endpoint; give the site's address: https://HOST or https://HOST/PREFIX"
                .into(),
        );
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(format!("url has to be http:// or https://, with a host; it is {}://", url.scheme()));
    }
    let path = match path.strip_suffix("/api") {
        Some(site) => format!("{site}/api/v4"),
        None if path.ends_with("/api/v4") => path.to_owned(),
        None => format!("{path}/api/v4"),
    };
    let mut base = url.clone();
    base.set_path(&path);
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

/// Where GraphQL is, beside the REST API.
pub(crate) fn graphql(api: &Url) -> Url {
    let mut url = api.clone();
    let path = api.path().trim_end_matches('/');
    url.set_path(&format!("{}/graphql", path.strip_suffix("/v4").unwrap_or(path)));
    url
}

/// Whether a watched name could be a GitLab project: its number, or its full path, which always has a group.
pub(crate) fn could_be_project(name: &str) -> bool {
    let name = name.trim().trim_matches('/');
    !name.is_empty() && (name.contains('/') || name.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_of_a_site_leads_to_its_api() {
        for (written, base) in [
            ("https://gitlab.com", "https://gitlab.com/api/v4"),
            ("https://gitlab.com/", "https://gitlab.com/api/v4"),
            ("https://host/gitlab", "https://host/gitlab/api/v4"),
            ("https://host/gitlab/", "https://host/gitlab/api/v4"),
            ("https://host/a/b//", "https://host/a/b/api/v4"),
            ("https://host/api/v4", "https://host/api/v4"),
            ("https://host/gitlab/api/v4/", "https://host/gitlab/api/v4"),
            ("https://host/api", "https://host/api/v4"),
            ("http://127.0.0.1:9300?private_token=x#y", "http://127.0.0.1:9300/api/v4"),
        ] {
            let api = api_base(&Url::parse(written).unwrap()).unwrap();
            assert_eq!(api.as_str(), base, "{written}");
            assert_eq!(graphql(&api).as_str(), base.replace("/v4", "/graphql"));
        }
        assert!(api_base(&Url::parse("https://gitlab.com/api/graphql").unwrap()).is_err());
        assert!(api_base(&Url::parse("ftp://gitlab.com").unwrap()).is_err());
    }

    #[test]
    fn a_project_is_a_number_or_a_path() {
        for (name, could) in [
            ("123", true),
            ("group/project", true),
            ("group/sub/project", true),
            ("project", false),
            ("12a", false),
            ("", false),
            ("/", false),
        ] {
            assert_eq!(could_be_project(name), could, "{name:?}");
        }
    }
}
