//! The statistics, and what is flaky, from nothing: for a database whose runs were counted by other rules.

use std::collections::HashMap;

use super::statistics::Taken;
use super::{ANY_DAY, Runs, apart, put_statistics, reasons, runs_of};
use crate::Result;
use crate::keeper::Keeper;
use crate::reading::{Numbers, Texts};
use crate::store::{ProjectRow, RunKey, RunQuery, RunRow, Store, Writing, flags};

/// Attempts that are counted at once.
const AT_ONCE: i64 = 2_000;

impl<S: Store> Keeper<S> {
    /// Counts all runs where there are no statistics of any, in one transaction: whoever dies over it leaves none, and the
    /// next one counts.
    pub(crate) async fn recount(&self) -> Result<()> {
        if !self.store.is_uncounted().await? {
            return Ok(());
        }
        let _one_at_a_time = self.writer.lock().await;
        let mut tx = self.store.begin(false).await?;
        // Another process may have done it while this one waited.
        if !self.store.is_uncounted().await? {
            return Ok(());
        }
        tracing::info!("the statistics of all runs are counted anew, once");
        for project in self.store.projects().await? {
            let days = self.store.days(project.id).await?;
            let mut days = days.into_iter().peekable();
            while let Some((from, mut attempts)) = days.next() {
                let mut to = from;
                while let Some((day, more)) = days.next_if(|(_, more)| attempts + more <= AT_ONCE) {
                    (to, attempts) = (day, attempts + more);
                }
                self.count_days(&mut tx, &project, from, to).await?;
            }
        }
        self.commit(tx, None).await
    }

    /// Counts the runs of a project whose newest attempt stands under one of these days.
    async fn count_days(&self, tx: &mut S::Tx, project: &ProjectRow, from: i32, to: i32) -> Result<()> {
        let query = RunQuery { projects: vec![project.id], from, to, limit: i64::MAX, ..RunQuery::default() };
        let mut rows: Vec<RunRow> = self.store.runs_with_jobs(&query).await?;
        // Other attempts of a run may stand under other days.
        let several = |r: &RunRow| r.flags & (flags::SUPERSEDED | flags::FURTHER) != 0;
        let of_several: Vec<RunKey> = rows
            .iter()
            .filter(|r| several(r) && r.flags & flags::SUPERSEDED == 0)
            .map(|r| RunKey { project: r.project, run: r.run, from: ANY_DAY.0, to: ANY_DAY.1 })
            .collect();
        rows.retain(|r| !several(r));
        if !of_several.is_empty() {
            rows.extend(tx.attempts(&of_several).await?);
        }
        let names = self.names(&rows, &[]).await?;
        let mut runs = Runs::new();
        for row in &rows {
            let run = runs.entry((row.project, row.run)).or_default();
            run.after.insert(row.attempt, names.attempt(row)?);
        }
        let mut texts = Texts::default();
        for attempt in runs_of(&runs) {
            texts.of(attempt);
        }
        // Nearly all of these are known; what is remembered is for those who write.
        let (numbers, kinds) = self.numbers(tx, texts, &runs_of(&runs), &mut Numbers::default()).await?;
        tx.put_reasons(&reasons(&runs, &numbers)).await?;
        let apart = apart(tx, &runs, &numbers).await?;
        let sources = HashMap::from([(project.id, project.source)]);
        put_statistics(tx, &runs, &sources, &numbers, (&apart, Taken::default())).await?;
        self.put_flakes(tx, &runs, &[], &numbers, &kinds).await
    }
}
