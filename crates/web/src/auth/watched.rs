//! Files that are read again when they change: users, tokens, session keys, certificates.
//!
//! They are looked at every [`LOOK_EVERY`], by their content: that finds every way of changing a file, a swapped link of
//! Kubernetes as well as an editor's rename.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

/// How often a file is looked at. Whoever is taken out of one is out after this.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Bytes of one file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What was made of the texts of some files.
#[derive(Debug)]
pub(crate) struct Parsed<T> {
    /// What is good of it; nothing when that would be of no use.
    pub(crate) value: Option<T>,
    /// What is wrong with it, each with its line where there is one. Never quotes the file.
    pub(crate) problems: Vec<String>,
}

/// How files are read.
pub(crate) struct Kind<T> {
    /// The setting that names them.
    pub(crate) key: &'static str,
    pub(crate) parse: fn(&[String]) -> Parsed<T>,
    /// What a file that is gone means. Nothing: what was read before goes on.
    pub(crate) gone: Option<fn() -> T>,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub(crate) struct FileProblem {
    pub(crate) key: &'static str,
    pub(crate) what: String,
}

/// What files hold, as of the last look. Cheap to clone.
pub(crate) struct Watched<T>(Arc<Inner<T>>);

struct Inner<T> {
    files: Vec<PathBuf>,
    kind: Kind<T>,
    now: watch::Sender<Arc<T>>,
    seen: Mutex<Seen>,
}

#[derive(PartialEq, Eq, Clone)]
enum Seen {
    Content([u8; 32]),
    Failure(String),
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.0.files).finish()
    }
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads `files` now. At a start nothing may be wrong with them.
    pub(crate) fn open(files: Vec<PathBuf>, kind: Kind<T>) -> Result<Self, FileProblem> {
        let problem = |what| FileProblem { key: kind.key, what };
        let texts = read_all(&files).map_err(|(file, error)| problem(cannot_read(&file, &error)))?;
        let Parsed { value, problems } = (kind.parse)(&texts);
        let Some(value) = value.filter(|_| problems.is_empty()) else {
            return Err(problem(told(&files, &problems)));
        };
        let seen = Mutex::new(Seen::Content(digest(&texts)));
        Ok(Self(Arc::new(Inner { files, kind, now: watch::Sender::new(Arc::new(value)), seen })))
    }

    /// What they hold.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.now.borrow())
    }

    /// The same, and whenever it changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<T>> {
        self.0.now.subscribe()
    }

    /// Looks again and again, for ever.
    pub(crate) async fn keep(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let inner = Arc::clone(&self.0);
            // Only a panic in there, or the end of the runtime, makes this fail.
            if tokio::task::spawn_blocking(move || inner.look()).await.is_err() {
                tracing::error!(key = self.0.kind.key, "a look at files failed");
            }
        }
    }
}

impl<T> Inner<T> {
    fn look(&self) {
        let key = self.kind.key;
        let texts = match read_all(&self.files) {
            Ok(texts) => texts,
            Err((file, error)) => {
                let why = cannot_read(&file, &error);
                if !self.is_news(Seen::Failure(why.clone())) {
                    return;
                }
                match self.kind.gone.filter(|_| error.kind() == io::ErrorKind::NotFound) {
                    Some(gone) => {
                        tracing::error!(key, "{why}; nobody whom it named is let in until it is back");
                        self.now.send_replace(Arc::new(gone()));
                    }
                    None => tracing::error!(key, "{why}; going on with what was read before"),
                }
                return;
            }
        };
        if !self.is_news(Seen::Content(digest(&texts))) {
            return;
        }
        let Parsed { value, problems } = (self.kind.parse)(&texts);
        if !problems.is_empty() {
            let rest =
                if value.is_some() { "the other lines count" } else { "going on with what was read before" };
            tracing::error!(key, "{}; {rest}", told(&self.files, &problems));
        }
        if let Some(value) = value {
            tracing::info!(key, "read again");
            self.now.send_replace(Arc::new(value));
        }
    }

    /// Remembers it; whether it is another than before.
    fn is_news(&self, seen: Seen) -> bool {
        let mut last = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *last != seen;
        *last = seen;
        news
    }
}

fn cannot_read(file: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", file.display())
}

fn told(files: &[PathBuf], problems: &[String]) -> String {
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    format!("{}: {}", names.join(", "), problems.join("; "))
}

fn read_all(files: &[PathBuf]) -> Result<Vec<String>, (PathBuf, io::Error)> {
    files.iter().map(|file| read(file).map_err(|error| (file.clone(), error))).collect()
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {MAX_FILE_BYTES} bytes"),
        ));
    }
    Ok(text)
}

fn digest(texts: &[String]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    hasher.finalize().into()
}

/// The lines of a text that say something, with their numbers from 1: neither empty nor a comment.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Kind<Vec<String>> {
        let parse = |texts: &[String]| {
            let (good, bad): (Vec<_>, Vec<_>) = lines(&texts[0]).partition(|(_, line)| !line.contains('!'));
            Parsed {
                value: Some(good.into_iter().map(|(_, line)| line.to_owned()).collect()),
                problems: bad.into_iter().map(|(at, _)| format!("line {at} shouts")).collect(),
            }
        };
        Kind { key: "a.file", parse, gone: Some(Vec::new) }
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_is_seen_and_what_is_wrong_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("words");
        std::fs::write(&file, "# two\na\n\nb\n").unwrap();
        let watched = Watched::open(vec![file.clone()], words()).unwrap();
        assert_eq!(*watched.get(), ["a", "b"]);
        let mut changes = watched.subscribe();
        let life = lifecycle::Lifecycle::new();
        let stop = life.tasks().stop_token();
        let keep = watched.clone().keep();
        life.tasks().run("watch", async move {
            stop.run_until_cancelled(keep).await;
        });
        std::fs::write(&file, "a\nc!\n").unwrap();
        changes.changed().await.unwrap();
        assert_eq!(**changes.borrow_and_update(), ["a"]);
        // Gone means nobody; back means back.
        std::fs::remove_file(&file).unwrap();
        changes.changed().await.unwrap();
        assert!(changes.borrow_and_update().is_empty());
        std::fs::write(&file, "a\n").unwrap();
        changes.changed().await.unwrap();
        assert_eq!(*watched.get(), ["a"]);
        assert_eq!(life.stop().await, lifecycle::Stopped::Clean);
    }

    #[test]
    fn a_start_takes_nothing_that_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("words");
        let open = || Watched::open(vec![file.clone()], words()).unwrap_err().to_string();
        assert!(open().starts_with("a.file: cannot read "));
        std::fs::write(&file, "a\nb!\n").unwrap();
        assert!(open().ends_with("words: line 2 shouts"), "{}", open());
        std::fs::write(&file, vec![b'x'; 2 * 1024 * 1024]).unwrap();
        assert!(open().contains("larger than 1048576 bytes"));
    }
}
