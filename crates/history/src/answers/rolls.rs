//! Statistics from the database, which finds the next ones while those that came are looked at.

use futures::StreamExt;
use futures::stream::FuturesOrdered;

use crate::Result;
use crate::calendar::Blocks;
use crate::keeper::Keeper;
use crate::roll::Kind;
use crate::store::Store;

/// Questions that are under way at once.
const AT_ONCE: usize = 3;
/// About so many rows come with each.
const ROWS: i32 = 512;
/// Nothing has more blocks of one length, as a rule.
const BLOCKS: i32 = 64;

/// Where statistics are from: level, scope and block.
pub(super) type Place = (u8, i32, i32);

/// Hands over the bytes of all that is in some blocks of some scopes: as the blocks stand, then by scope and block.
pub(super) async fn each_roll<S: Store>(
    keeper: &Keeper<S>,
    kind: Kind,
    blocks: &[Blocks],
    scopes: &[i32],
    mut take: impl FnMut(Place, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut questions = Vec::new();
    for blocks in blocks {
        let each = (blocks.to - blocks.from + 1).clamp(1, BLOCKS);
        for scopes in scopes.chunks(usize::try_from(ROWS / each).unwrap_or(1)) {
            questions.push((*blocks, scopes));
        }
    }
    let mut questions = questions.into_iter();
    let mut under_way = FuturesOrdered::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some((blocks, scopes)) = questions.next()
        {
            under_way.push_back(asked(keeper, kind, blocks, scopes));
        }
        let Some(found) = under_way.next().await else { return Ok(()) };
        let (level, rolls) = found?;
        for (scope, block, bytes) in rolls {
            take((level, scope, block), &bytes)?;
        }
    }
}

/// What there is in some blocks, with their level: scope, block, bytes.
async fn asked<S: Store>(
    keeper: &Keeper<S>,
    kind: Kind,
    Blocks { level, from, to }: Blocks,
    scopes: &[i32],
) -> Result<(u8, Vec<(i32, i32, Vec<u8>)>)> {
    Ok((level, keeper.store.rolls(kind.number(), level, scopes, from, to).await?))
}
