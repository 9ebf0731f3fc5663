//! `ci-dashboard doctor`: looks at everything that commonly goes wrong, and says of each what to do.

mod files;
mod report;
mod service;
mod sources;
mod stores;

use std::process::ExitCode;
use std::sync::Arc;

use config::{Inputs, Role, Settings};
use domain::SystemClock;

use self::report::Report;
use self::service::Hidden;
use crate::ConfigArgs;

/// Looks at everything. The exit code is 0 when nothing is broken, 1 when something is, 2 when the configuration has mistakes.
pub(crate) async fn run(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    let inputs = Inputs::from_process(Role::All, args.config)?;
    let mut report = Report::default();
    let loaded = match config::load(&inputs) {
        Ok(loaded) => loaded,
        Err(problems) => {
            for problem in &problems {
                report.bad("configuration", problem.to_string(), service::advice(problem, &inputs));
            }
            report.print();
            return Ok(ExitCode::from(2));
        }
    };
    match &loaded.file {
        Some(file) => report.good("configuration", format!("{} has no mistakes", file.display())),
        None => report.good("configuration", "no file: defaults and environment".to_owned()),
    }
    for warning in &loaded.warnings {
        report.doubt("configuration", warning.to_string(), "see the key that it names");
    }
    let settings = &loaded.settings;
    let hidden = Hidden::of(&loaded, &inputs, &mut report);
    if let Some(file) = &loaded.file {
        files::configuration(file, settings, &mut report);
    }
    files::secrets(settings, &mut report);
    exposure(settings, &mut report);
    stores::look(settings, hidden, &mut report).await;
    files::socket(settings, &mut report).await;
    web(settings, &mut report).await;
    sources::look(settings, hidden, &Arc::new(SystemClock), &mut report).await;
    report.print();
    Ok(if report.is_broken() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Who can look at it.
fn exposure(settings: &Settings, report: &mut Report) {
    let server = &settings.server;
    if config::is_loopback_host(&server.host) {
        report.good("access", format!("listens on {}, which only this machine reaches", server.host));
    } else if settings.auth.mode == config::AuthMode::None && !settings.auth.allow_anonymous {
        report.doubt(
            "access",
            format!("listens on {} and asks nobody who they are", server.host),
            "set auth.mode, or auth.allow_anonymous: true when that is meant",
        );
    } else {
        report.good("access", format!("listens on {}", server.host));
    }
}

/// Whether the web server runs. That it does not is no fault of the configuration.
async fn web(settings: &Settings, report: &mut Report) {
    let server = settings.server.clone();
    let asked = tokio::task::spawn_blocking(move || web::check_health(&server)).await;
    match asked {
        Ok(Ok(())) => report.good("web", "runs and is well".to_owned()),
        Ok(Err(why)) => report.note("web", format!("does not run here: {why}")),
        Err(error) => report.note("web", format!("could not be asked: {error}")),
    }
}
