//! What platforms marked as deployed: the newer state wins, whatever the order of arrival.

use std::collections::BTreeMap;

use domain::{Deployment, Timestamp};

use crate::reading::{Numbers, status_of};
use crate::store::{DeploymentRow, Writing, marks};
use crate::{Day, Result};

/// Writes what is new about deployments, but for those that began before the day `oldest`.
pub(super) async fn put_deployments<T: Writing>(
    tx: &mut T,
    told: impl Iterator<Item = (i32, &Deployment)>,
    (oldest, seen_at): (i32, Timestamp),
    numbers: &Numbers,
) -> Result<()> {
    let told = told.map(|(project, deployment)| numbers.deployment(project, deployment, seen_at));
    let told: Vec<DeploymentRow> = told.filter(|row| Day::of_ms(row.created_at).0 >= oldest).collect();
    if told.is_empty() {
        return Ok(());
    }
    let key = |row: &DeploymentRow| (row.project, row.deployment);
    let mut keys: Vec<(i32, i64)> = told.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    let before: BTreeMap<_, _> =
        tx.deployments(&keys).await?.into_iter().map(|row| (key(&row), row)).collect();
    let mut after = before.clone();
    for row in told {
        let key = key(&row);
        let row = match after.remove(&key) {
            Some(known) => merged(known, row),
            None => row,
        };
        after.insert(key, row);
    }
    after.retain(|key, row| before.get(key) != Some(row));
    let changed: Vec<DeploymentRow> = after.into_values().collect();
    if changed.is_empty() { Ok(()) } else { tx.put_deployments(&changed).await }
}

/// Two reports of one deployment as one, the same in either order.
fn merged(a: DeploymentRow, b: DeploymentRow) -> DeploymentRow {
    // Of the same moment, what has come further is newer.
    let age = |row: &DeploymentRow| {
        (row.updated_at, status_of(row.status).progress().unwrap_or_default(), row.status)
    };
    let (old, new) = if age(&a) <= age(&b) { (a, b) } else { (b, a) };
    let is_green = |row: &DeploymentRow| status_of(row.status).is_green();
    let or = |new: i32, old: i32| if new == 0 { old } else { new };
    // What was told in one place is not taken back by another that does not tell it.
    let production = marks::PRODUCTION | marks::TOLD;
    let told = match new.flags & marks::TOLD == 0 && new.environment == old.environment {
        true => old.flags & production,
        false => new.flags & production,
    };
    // One that waited is told to have begun later than before.
    let began =
        [&new, &old].into_iter().filter(|row| row.flags & marks::BEGAN != 0).map(|row| row.created_at).max();
    let created_at = began.unwrap_or_else(|| new.created_at.min(old.created_at));
    DeploymentRow {
        flags: told | (new.flags | old.flags) & marks::BEGAN,
        branch: or(new.branch, old.branch),
        native: or(new.native, old.native),
        created_at,
        // One that was replaced by the next was told again then, and ended when it was green.
        finished_at: match is_green(&new) && is_green(&old) {
            true => [new.finished_at, old.finished_at].into_iter().flatten().min(),
            false => new.finished_at.or(old.finished_at.filter(|_| new.status == old.status)),
        },
        run_text: if new.run.is_some() { new.run_text } else { old.run_text },
        run: new.run.or(old.run),
        sha: new.sha.or(old.sha),
        url: new.url.or(old.url),
        ..new
    }
}

#[cfg(test)]
mod tests {
    use domain::Status;

    use super::*;
    use crate::reading::status_number;

    fn row(status: Status, updated_at: i64, finished_at: Option<i64>) -> DeploymentRow {
        DeploymentRow {
            status: status_number(status),
            environment: 1,
            created_at: 1,
            updated_at,
            finished_at,
            ..DeploymentRow::default()
        }
    }

    #[test]
    fn the_newer_state_wins_and_keeps_what_it_lacks() {
        let hook = DeploymentRow { run: None, branch: 7, ..row(Status::Success, 20, Some(20)) };
        let list = DeploymentRow { run: Some(5), flags: marks::TOLD, ..row(Status::Running, 10, None) };
        let one = merged(hook.clone(), list.clone());
        assert_eq!(one, merged(list, hook));
        assert_eq!(
            (status_of(one.status), one.run, one.branch, one.flags),
            (Status::Success, Some(5), 7, marks::TOLD)
        );
        assert_eq!(one.finished_at, Some(20));
    }

    #[test]
    fn any_order_comes_to_the_same() {
        let began =
            |row: DeploymentRow, at: i64| DeploymentRow { flags: marks::BEGAN, created_at: at, ..row };
        let reports = [
            began(row(Status::Queued, 10, None), 10),
            began(row(Status::Running, 20, None), 18),
            // A webhook.
            DeploymentRow { created_at: 40, branch: 7, ..row(Status::Success, 40, Some(40)) },
            DeploymentRow { run: Some(5), ..began(row(Status::Success, 40, Some(39)), 18) },
            began(row(Status::Success, 90, None), 18),
        ];
        let mut orders = vec![Vec::new()];
        for at in 0..reports.len() {
            let with = |order: &Vec<usize>, place: usize| {
                let mut order = order.clone();
                order.insert(place, at);
                order
            };
            orders = orders.iter().flat_map(|o| (0..=o.len()).map(move |place| with(o, place))).collect();
        }
        assert_eq!(orders.len(), 120);
        for order in orders {
            let told = order.iter().map(|at| reports[*at].clone());
            let one = told.reduce(merged).unwrap();
            let times = (one.created_at, one.finished_at, one.updated_at);
            assert_eq!((times, one.run, one.branch), ((18, Some(39), 90), Some(5), 7), "{order:?}");
        }
    }

    #[test]
    fn one_that_was_replaced_ended_when_it_was_green() {
        let (green, replaced) = (row(Status::Success, 20, Some(20)), row(Status::Success, 90, None));
        for one in [merged(green.clone(), replaced.clone()), merged(replaced, green.clone())] {
            assert_eq!((one.finished_at, one.updated_at), (Some(20), 90));
        }
        let failed = merged(row(Status::Failed, 30, Some(30)), green);
        assert_eq!((status_of(failed.status), failed.finished_at), (Status::Failed, Some(30)));
    }
}
