//! Sources, projects, heads.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{ProjectKey, SourceName};

use crate::reading::{Numbers, describe, millis, person_row};
use crate::store::{ProjectRow, SnapshotRow, Writing};
use crate::text::sha_to_bytes;
use crate::{Batch, ProjectNews, Result, Snapshot};

pub(super) async fn put_projects<T: Writing>(
    tx: &mut T,
    batch: &Batch,
) -> Result<BTreeMap<ProjectKey, ProjectRow>> {
    let mut keys: BTreeSet<ProjectKey> = batch.runs.iter().map(|r| r.project.clone()).collect();
    keys.extend(batch.watermarks.keys().cloned());
    keys.extend(batch.snapshots.iter().map(|s| s.project.clone()));
    keys.extend(batch.deployments.iter().map(|(project, _)| project.clone()));
    keys.extend(batch.projects.iter().map(|p| match p {
        ProjectNews::There(project) => project.key.clone(),
        ProjectNews::Gone(key) => key.clone(),
    }));
    let mut names: BTreeMap<SourceName, String> = batch.sources.clone();
    for key in &keys {
        names.entry(key.source.clone()).or_default();
    }
    let asked: Vec<(String, String)> =
        names.iter().map(|(name, platform)| (name.as_str().to_owned(), platform.clone())).collect();
    let sources: HashMap<String, i32> =
        tx.sources(&asked).await?.into_iter().map(|row| (row.name, row.id)).collect();
    let source_of = |key: &ProjectKey| sources.get(key.source.as_str()).copied().unwrap_or_default();

    let wanted: Vec<(i32, String)> = keys.iter().map(|k| (source_of(k), k.id.as_str().to_owned())).collect();
    let known: HashMap<(i32, String), ProjectRow> = tx
        .projects(&wanted)
        .await?
        .into_iter()
        .map(|row| ((row.source, row.native_id.clone()), row))
        .collect();
    let mut rows: BTreeMap<ProjectKey, ProjectRow> = keys
        .into_iter()
        .map(|key| {
            let native = key.id.as_str().to_owned();
            let fresh = ProjectRow {
                source: source_of(&key),
                native_id: native.clone(),
                name: native.clone(),
                ..ProjectRow::default()
            };
            let row = known.get(&(source_of(&key), native)).cloned().unwrap_or(fresh);
            (key, row)
        })
        .collect();
    let before = rows.clone();
    let now = batch.seen_at.as_millisecond();
    for news in &batch.projects {
        match news {
            ProjectNews::There(project) => {
                if let Some(row) = rows.get_mut(&project.key) {
                    describe(row, (**project).clone());
                }
            }
            ProjectNews::Gone(key) => {
                if let Some(row) = rows.get_mut(key) {
                    row.gone_at.get_or_insert(now);
                }
            }
        }
    }
    for (key, known) in &batch.watermarks {
        if let Some(row) = rows.get_mut(key) {
            row.known = Some(*known);
        }
    }
    let changed: Vec<ProjectKey> = rows
        .iter()
        .filter(|(key, row)| row.id == 0 || before.get(*key) != Some(*row))
        .map(|(k, _)| k.clone())
        .collect();
    let put: Vec<ProjectRow> = changed.iter().filter_map(|k| rows.get(k).cloned()).collect();
    if !put.is_empty() {
        for (key, id) in changed.iter().zip(tx.put_projects(&put, now).await?) {
            if let Some(row) = rows.get_mut(key) {
                row.id = id;
            }
        }
    }
    Ok(rows)
}

pub(super) fn snapshot_row(
    project: i32,
    snapshot: &Snapshot,
    seen_at: i64,
    numbers: &Numbers,
) -> SnapshotRow {
    let branch = &snapshot.branch;
    SnapshotRow {
        project,
        branch: numbers.word(&branch.name),
        seen_at,
        sha: branch.sha.as_deref().map(sha_to_bytes),
        author: branch
            .author
            .as_ref()
            .and_then(|a| numbers.people.get(&person_row(a)))
            .copied()
            .unwrap_or_default(),
        message: branch.message.clone(),
        committed_at: millis(branch.committed_at),
        default: branch.default,
        protected: branch.protected,
        url: branch.url.as_ref().map_or(0, |u| numbers.word(u.as_str())),
    }
}
