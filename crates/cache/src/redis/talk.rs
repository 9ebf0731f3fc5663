//! What is said to Redis on one connection.

use std::time::Duration;

use domain::Timestamp;
use redis::{Pipeline, RedisError, cmd, pipe};

use super::Settings;
use super::door::{Open, Trouble, of};
use super::feed::Moved;
use crate::Shelf;

/// Under this name a shelf says that all of it was written: no value has an empty name.
const WHOLE: &str = "";
/// Names in one message, and bytes of values.
const NAMES_AT_ONCE: usize = 200;
const BYTES_AT_ONCE: usize = 1024 * 1024;
/// About so many fields come in one answer when a shelf is read.
const PAGE: usize = 50;
/// What is read of a shelf at most, in bytes.
const MAX_SHELF: usize = 256 * 1024 * 1024;
/// About so many changes are in the stream.
const MAX_CHANGES: usize = 10_000;

pub(super) struct Talk {
    open: Open,
    prefix: String,
    expiry: u64,
    /// This process: what another one has written is not known to be whole.
    mark: String,
}

impl Talk {
    pub(super) fn new(settings: &Settings, mark: &str, open: Open) -> Self {
        let expiry = settings.expiry.max(Duration::from_secs(1)).as_millis();
        Self {
            open,
            prefix: format!("{}v{}:", settings.prefix, settings.form),
            expiry: u64::try_from(expiry).unwrap_or(u64::MAX / 2),
            mark: mark.to_owned(),
        }
    }

    pub(super) fn engine(&self) -> &str {
        &self.open.engine
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn trouble(&self, key: &str, error: &RedisError) -> Trouble {
        of(&self.open.at, key, error)
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, key: &str, command: &redis::Cmd) -> Result<T, Trouble> {
        let answer = command.query_async(&mut self.open.connection).await;
        answer.map_err(|error| self.trouble(key, &error))
    }

    async fn send(&mut self, key: &str, pipeline: &Pipeline) -> Result<(), Trouble> {
        let done = pipeline.exec_async(&mut self.open.connection).await;
        done.map_err(|error| self.trouble(key, &error))
    }

    /// Puts what was kept into memory. What is of no use there is to be removed.
    pub(super) async fn load(&mut self, shelf: &Shelf) -> Result<(), Trouble> {
        let key = self.key(shelf.name());
        let (mut cursor, mut bytes) = (0_u64, 0);
        loop {
            let mut scan = cmd("HSCAN");
            scan.arg(&key).arg(cursor).arg("COUNT").arg(PAGE);
            let (next, fields): (u64, Vec<Vec<u8>>) = self.ask(&key, &scan).await?;
            for field in fields.chunks_exact(2) {
                let [name, value] = field else { continue };
                bytes += value.len();
                match std::str::from_utf8(name) {
                    Ok(WHOLE) => {}
                    Ok(name) if !shelf.values().put(name, value) => shelf.changed(name),
                    // A name that is none is removed when the shelf is gone through.
                    Ok(_) | Err(_) => {}
                }
            }
            cursor = next;
            if cursor == 0 || bytes > MAX_SHELF {
                return Ok(());
            }
        }
    }

    /// Makes Redis hold what is in memory: all of it is written, and what is not in memory is removed.
    pub(super) async fn reconcile(&mut self, shelf: &Shelf) -> Result<(), Trouble> {
        let key = self.key(shelf.name());
        let there: Vec<Vec<u8>> = self.ask(&key, cmd("HKEYS").arg(&key)).await?;
        let known: std::collections::BTreeSet<String> = shelf.values().names().into_iter().collect();
        let mut unknown = Vec::new();
        for name in there {
            match String::from_utf8(name) {
                Ok(name) if name == WHOLE || known.contains(&name) => {}
                Ok(name) => shelf.changed(&name),
                Err(error) => unknown.push(error.into_bytes()),
            }
        }
        shelf.all_changed();
        let mut pipeline = pipe();
        if !unknown.is_empty() {
            pipeline.cmd("HDEL").arg(&key).arg(unknown);
        }
        pipeline.cmd("HSET").arg(&key).arg(WHOLE).arg(&self.mark);
        pipeline.cmd("PEXPIRE").arg(&key).arg(self.expiry);
        self.send(&key, &pipeline).await
    }

    /// Writes what waits of a shelf.
    pub(super) async fn write(&mut self, shelf: &Shelf) -> Result<(), Trouble> {
        let key = self.key(shelf.name());
        loop {
            let taken = shelf.take(NAMES_AT_ONCE, BYTES_AT_ONCE);
            if taken.values().is_empty() {
                return Ok(());
            }
            let mut pipeline = pipe();
            let there: Vec<_> =
                taken.values().iter().filter_map(|(n, v)| Some((n.as_str(), v.as_deref()?))).collect();
            if !there.is_empty() {
                pipeline.cmd("HSET").arg(&key).arg(there.as_slice());
            }
            let gone: Vec<_> =
                taken.values().iter().filter(|(_, v)| v.is_none()).map(|(n, _)| n.as_str()).collect();
            if !gone.is_empty() {
                pipeline.cmd("HDEL").arg(&key).arg(gone);
            }
            pipeline.cmd("PEXPIRE").arg(&key).arg(self.expiry);
            self.send(&key, &pipeline).await?;
            taken.written();
        }
    }

    /// Keeps a shelf's key from expiring. Whether all of it is there still: one that was evicted and written to since is not.
    pub(super) async fn confirm(&mut self, shelf: &Shelf) -> Result<bool, Trouble> {
        let key = self.key(shelf.name());
        let _: i64 = self.ask(&key, cmd("PEXPIRE").arg(&key).arg(self.expiry)).await?;
        let mark: Option<String> = self.ask(&key, cmd("HGET").arg(&key).arg(WHOLE)).await?;
        Ok(mark.as_deref() == Some(&self.mark))
    }

    /// Keeps the other keys from expiring. Whether the sorted set is there still.
    pub(super) async fn confirm_feeds(&mut self) -> Result<bool, Trouble> {
        let (activity, changes) = (self.key("activity"), self.key("changes"));
        let _: i64 = self.ask(&changes, cmd("PEXPIRE").arg(&changes).arg(self.expiry)).await?;
        let there: i64 = self.ask(&activity, cmd("PEXPIRE").arg(&activity).arg(self.expiry)).await?;
        Ok(there == 1)
    }

    /// Makes the sorted set anew.
    pub(super) async fn set_activity(&mut self, all: Vec<(String, Timestamp)>) -> Result<(), Trouble> {
        let key = self.key("activity");
        let mut pipeline = pipe();
        // All or nothing: whoever looks meanwhile sees the old one.
        pipeline.atomic().cmd("DEL").arg(&key);
        for part in all.chunks(NAMES_AT_ONCE) {
            let scored: Vec<_> = part.iter().map(|(name, at)| (at.as_millisecond(), name.as_str())).collect();
            pipeline.cmd("ZADD").arg(&key).arg(scored.as_slice());
        }
        pipeline.cmd("PEXPIRE").arg(&key).arg(self.expiry);
        self.send(&key, &pipeline).await
    }

    /// Tells of changes.
    pub(super) async fn tell(&mut self, moved: &[Moved]) -> Result<(), Trouble> {
        if moved.is_empty() {
            return Ok(());
        }
        let (activity, changes) = (self.key("activity"), self.key("changes"));
        let mut pipeline = pipe();
        for one in moved {
            if one.gone {
                pipeline.cmd("ZREM").arg(&activity).arg(&one.project);
            } else if let Some(at) = one.active_at {
                pipeline.cmd("ZADD").arg(&activity).arg(at.as_millisecond()).arg(&one.project);
            }
            pipeline.cmd("XADD").arg(&changes).arg("MAXLEN").arg("~").arg(MAX_CHANGES).arg("*");
            pipeline.arg("project").arg(&one.project).arg("version").arg(&one.version);
            pipeline.arg("at").arg(one.at.to_string()).arg("gone").arg(u8::from(one.gone));
        }
        for key in [&activity, &changes] {
            pipeline.cmd("PEXPIRE").arg(key).arg(self.expiry);
        }
        self.send(&changes, &pipeline).await
    }
}
