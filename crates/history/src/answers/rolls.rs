//! Statistics from the database, which finds the next ones while those that came are looked at.

use futures::StreamExt;
use futures::stream::FuturesOrdered;

use crate::calendar::Blocks;
use crate::keeper::Keeper;
use crate::roll::Kind;
use crate::store::Store;
use crate::{Error, ErrorKind, Result};

/// Questions that are under way at once.
pub(super) const AT_ONCE: usize = 3;
/// About so many rows come with each.
const ROWS: i32 = 512;
/// Nothing has more blocks of one length, as a rule.
const BLOCKS: i32 = 64;

/// Where statistics are from: level, scope and block.
pub(super) type Place = (u8, i32, i32);

pub(super) use crate::cached::Rolls;

/// Hands over the bytes of all that is in some blocks of some scopes: as the blocks stand, then by scope and block.
pub(super) async fn each_roll<S: Store>(
    keeper: &Keeper<S>,
    kind: Kind,
    blocks: &[Blocks],
    scopes: &[i32],
    mut take: impl FnMut(Place, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut questions = questions(kind, blocks, scopes).into_iter();
    let mut under_way = FuturesOrdered::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(question) = questions.next()
        {
            under_way.push_back(question.ask(keeper));
        }
        let Some(found) = under_way.next().await else { return Ok(()) };
        let (level, rolls) = found?;
        for (scope, block, bytes) in rolls {
            take((level, scope, block), &bytes)?;
        }
    }
}

/// Has all that is in some blocks of one length read on threads of their own, some scopes at a time: for what takes longer to
/// look at than to find. All of a scope stands together, in the order of its blocks; so do the scopes.
pub(super) async fn each_part<S: Store, T: Send + 'static>(
    keeper: &Keeper<S>,
    kind: Kind,
    blocks: Blocks,
    scopes: &[i32],
    read: impl Fn(Rolls) -> Result<T> + Clone + Send + 'static,
    mut take: impl FnMut(T),
) -> Result<()> {
    let mut questions = questions(kind, &[blocks], scopes).into_iter();
    let mut under_way = FuturesOrdered::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(question) = questions.next()
        {
            under_way.push_back(question.ask_and_read(keeper, read.clone()));
        }
        let Some(found) = under_way.next().await else { return Ok(()) };
        take(found?);
    }
}

/// A part of what is asked for.
struct Question<'a> {
    kind: Kind,
    blocks: Blocks,
    scopes: &'a [i32],
}

fn questions<'a>(kind: Kind, blocks: &[Blocks], scopes: &'a [i32]) -> Vec<Question<'a>> {
    let mut questions = Vec::new();
    for blocks in blocks {
        let each = (blocks.to - blocks.from + 1).clamp(1, BLOCKS);
        for scopes in scopes.chunks(usize::try_from(ROWS / each).unwrap_or(1)) {
            questions.push(Question { kind, blocks: *blocks, scopes });
        }
    }
    questions
}

impl Question<'_> {
    /// What there is, with its level.
    async fn ask<S: Store>(self, keeper: &Keeper<S>) -> Result<(u8, Rolls)> {
        let Blocks { level, from, to } = self.blocks;
        Ok((level, keeper.rolls(self.kind, level, self.scopes, from, to).await?))
    }

    async fn ask_and_read<S: Store, T: Send + 'static>(
        self,
        keeper: &Keeper<S>,
        read: impl FnOnce(Rolls) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (_, rolls) = self.ask(keeper).await?;
        on_a_thread(move || read(rolls)).await
    }
}

/// Reads statistics on a thread of their own: for what takes longer to look at than to find.
pub(super) async fn on_a_thread<T: Send + 'static>(
    read: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(read).await;
    done.unwrap_or_else(|e| Err(Error::new(ErrorKind::Other, format!("statistics were not read: {e}"))))
}
