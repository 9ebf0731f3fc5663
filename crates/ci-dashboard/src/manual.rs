//! Man pages and shell completions, made from the command lines themselves, so that they cannot tell anything else.

use std::path::Path;
use std::{fs, io};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::Cli;

/// The shells that packages bring completions for, and the folder of each.
const SHELLS: [(Shell, &str); 3] = [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")];

/// The three programs.
fn programs() -> [Command; 3] {
    [Cli::command(), aggregator::Args::command(), web::Args::command()]
}

/// Prints completions of this program.
pub(crate) fn completions(shell: Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "ci-dashboard", &mut io::stdout());
}

/// Writes `man/` and a folder for each shell.
pub(crate) fn write(folder: &Path) -> anyhow::Result<()> {
    let make = |name: &str| {
        let made = folder.join(name);
        fs::create_dir_all(&made).with_context(|| format!("cannot make {}", made.display())).map(|()| made)
    };
    let man = make("man")?;
    for mut program in programs() {
        // Help is a flag of each command; pages of their own would only repeat it.
        program = program.disable_help_subcommand(true);
        clap_mangen::generate_to(program.clone(), &man)
            .with_context(|| format!("cannot write to {}", man.display()))?;
        let name = program.get_name().to_owned();
        for (shell, sub) in SHELLS {
            let to = make(sub)?;
            clap_complete::generate_to(shell, &mut program, &name, &to)
                .with_context(|| format!("cannot write to {}", to.display()))?;
        }
    }
    Ok(())
}
