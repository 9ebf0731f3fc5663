//! All pages of a listing.

use connector::{Connector, ProjectPage, Result};

/// The whole listing, page after page, as one page; and how many there were.
pub(crate) async fn listed(source: &dyn Connector) -> Result<(ProjectPage, usize)> {
    let (mut all, mut next, mut pages) = (ProjectPage::default(), None, 0);
    loop {
        let page = source.projects(next).await?;
        all.items.extend(page.items);
        all.told.extend(page.told);
        pages += 1;
        next = page.next;
        if next.is_none() {
            return Ok((all, pages));
        }
    }
}
