//! Where history and the cache are kept: whether they can be read and written by whoever runs this. Nothing is made and
//! nothing is migrated.

use std::fs::OpenOptions;
use std::path::Path;

use config::{CacheKind, DatabaseUrl, Settings};

use super::files::folder_state;
use super::report::Report;
use super::service::Hidden;

const WHAT: &str = "database";
const REDIS: &str = "redis";

pub(super) async fn look(settings: &Settings, hidden: Hidden, report: &mut Report) {
    if hidden.state {
        report.note(WHAT, "not looked at: it is where the service keeps its state".to_owned());
    } else {
        database(settings, report).await;
    }
    if settings.cache.kind == CacheKind::Redis {
        match aggregator::mirror::probe(&settings.cache).await {
            Ok(found) => report.good(REDIS, format!("{found} answers")),
            Err(why) => report.bad(
                REDIS,
                why,
                "correct cache.redis_url, or start it; until then the cache is in memory alone",
            ),
        }
    }
}

async fn database(settings: &Settings, report: &mut Report) {
    match &settings.database.url {
        DatabaseUrl::None => report.note(WHAT, "database.url is none: nothing outlives a restart".to_owned()),
        DatabaseUrl::Sqlite(path) => sqlite(path, report),
        DatabaseUrl::Postgres(url) => match aggregator::archive::probe(url).await {
            Ok(found) => report.good(WHAT, format!("{found} answers")),
            Err(error) => report.bad(
                WHAT,
                error.to_string(),
                "correct database.url, or start it; until then the board is live and history waits",
            ),
        },
    }
}

fn sqlite(path: &Path, report: &mut Report) {
    let advice =
        "run this as the user of the aggregator; give it the file and its folder, or set database.url";
    let shown = path.display();
    // SQLite writes beside the file as well.
    let folder = path.parent().map_or(Ok(()), folder_state);
    let file = match path.try_exists() {
        Ok(true) => OpenOptions::new().append(true).open(path).map(|_| true),
        other => other,
    };
    match (file, folder) {
        (Err(why), _) => report.bad(WHAT, format!("{shown}: {why}"), advice),
        (Ok(_), Err(why)) => report.bad(WHAT, format!("the folder of {shown}: {why}"), advice),
        (Ok(true), Ok(())) => report.good(WHAT, format!("{shown} can be written")),
        (Ok(false), Ok(())) => report.good(WHAT, format!("{shown} will be made")),
    }
}
