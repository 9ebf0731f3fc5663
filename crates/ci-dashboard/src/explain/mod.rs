//! `ci-dashboard explain PROJECT`: asks what runs why a project has its colour, and when it is asked next and why then.

mod door;
mod text;

use std::fmt;
use std::process::ExitCode;

use clap::Args;
use config::{Inputs, Role, Settings};
use domain::{Clock as _, SystemClock};

use crate::ConfigArgs;
use door::{Door, Found, Key, Trouble};

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// source:id as in a project's address, or a full name that no other project has
    #[arg(value_name = "PROJECT")]
    project: String,
    #[command(flatten)]
    config: ConfigArgs,
    /// As JSON: what GET /api/v1/projects/{source}/{id}/explain answers
    #[arg(long)]
    json: bool,
}

/// How many names are suggested.
const SUGGESTIONS: usize = 10;

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExplainError {
    #[error(
        "nothing runs here: no aggregator at {socket} ({of_socket}), and no web server at {web} ({of_web}). Start `ci-dashboard`, \
         or `ci-dashboard-aggregator` and `ci-dashboard-web`; what runs with a file of its own is found with --config FILE"
    )]
    NotRunning { socket: String, of_socket: String, web: String, of_web: String },
    #[error("{at} does not answer: {why}")]
    Broken { at: String, why: String },
    #[error("there is no project {asked:?}{}{near}", if *.loading { "; not everything is read yet" } else { "" })]
    NoProject { asked: String, loading: bool, near: Names },
    #[error("{asked:?} is the name of several projects; say which by source:id{names}")]
    Ambiguous { asked: String, names: Names },
}

/// Projects to choose from, a line each; none is no line.
#[derive(Debug)]
pub(crate) struct Names {
    what: &'static str,
    found: Vec<Found>,
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.found.is_empty() {
            return Ok(());
        }
        f.write_str(self.what)?;
        let addresses: Vec<_> = self.found.iter().map(|found| found.key.to_string()).collect();
        let width = addresses.iter().map(|a| a.chars().count()).max().unwrap_or_default();
        for (address, found) in addresses.iter().zip(&self.found).take(SUGGESTIONS) {
            write!(f, "\n  {address:width$}  {}", found.name)?;
        }
        match self.found.len().saturating_sub(SUGGESTIONS) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl ExplainError {
    /// 2 when the question was not clear, else 1.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Ambiguous { .. } => ExitCode::from(2),
            Self::NotRunning { .. } | Self::Broken { .. } | Self::NoProject { .. } => ExitCode::FAILURE,
        }
    }
}

/// Prints the explanation, or says why there is none.
pub(crate) async fn run(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    // As the web server reads them: where everything is, and nothing of any token.
    let inputs = Inputs::from_process(Role::Web, args.config.config)?;
    let settings = match crate::load(&inputs) {
        Ok(loaded) => loaded.settings,
        Err(code) => return Ok(code),
    };
    match explain(&settings, &args.project).await {
        Ok(explanation) if args.json => println!("{explanation:#}"),
        Ok(explanation) => print!("{}", text::Text::new(&explanation, SystemClock.now())),
        Err(error) => {
            eprintln!("ci-dashboard: {error}");
            return Ok(error.exit_code());
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn explain(settings: &Settings, asked: &str) -> Result<serde_json::Value, ExplainError> {
    let (door, sources) = Door::open(settings).await?;
    let broken = |why: Trouble| ExplainError::Broken { at: door.to_string(), why: why.to_string() };
    let loading = sources.iter().any(|source| source.loading);
    let missing = |found: Vec<Found>| ExplainError::NoProject {
        asked: asked.to_owned(),
        loading,
        near: Names { what: "; near it:", found },
    };
    let key = match asked.split_once(':') {
        Some((source, id)) if sources.iter().any(|s| s.name == source) => {
            Key { source: source.to_owned(), id: id.to_owned() }
        }
        _ => {
            let mut found = door.search(asked).await.map_err(broken)?;
            let exact: Vec<_> = found.iter().filter(|f| f.name == asked || f.key.id == asked).collect();
            let one = match exact.as_slice() {
                [] => None,
                [one] => Some(one.key.clone()),
                _ => {
                    found.retain(|f| f.name == asked || f.key.id == asked);
                    let names = Names { what: ":", found };
                    return Err(ExplainError::Ambiguous { asked: asked.to_owned(), names });
                }
            };
            one.ok_or_else(|| missing(found))?
        }
    };
    match door.explain(&key).await {
        Ok(explanation) => Ok(explanation),
        Err(Trouble::NotFound) => Err(missing(door.search(&key.id).await.unwrap_or_default())),
        Err(why) => Err(broken(why)),
    }
}
