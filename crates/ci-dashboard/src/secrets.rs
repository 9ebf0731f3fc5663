//! What lets people and scripts in: hashes of passwords, tokens.

use std::io::{BufRead, IsTerminal as _, Read as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use domain::{Clock as _, SystemClock};

/// Bytes that are read of standard input.
const MAX_INPUT_BYTES: u64 = 16 * 1024;

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// What it is for: letters, digits, and . _ - @
    name: String,
    /// It holds for so long, such as 90d; without, until its line is taken out
    #[arg(long, value_name = "TIME", value_parser = config::parse_duration)]
    expires_in: Option<Duration>,
}

/// Prints the hash of a password.
pub(crate) fn hash_password() -> anyhow::Result<ExitCode> {
    let password = if std::io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ").context("the terminal cannot be read")?;
        let again = rpassword::prompt_password("Again: ").context("the terminal cannot be read")?;
        same(first, &again)?
    } else {
        from_lines(std::io::stdin().lock().take(MAX_INPUT_BYTES))?
    };
    println!("{}", web::hash_password(&password).map_err(anyhow::Error::msg)?);
    Ok(ExitCode::SUCCESS)
}

/// One line, or the same line twice.
fn from_lines(input: impl BufRead) -> anyhow::Result<String> {
    let mut lines = input.lines();
    let first = lines.next().transpose().context("standard input cannot be read")?.unwrap_or_default();
    match lines.next().transpose().context("standard input cannot be read")? {
        Some(again) if !again.is_empty() => same(first, &again),
        _ => Ok(first),
    }
}

fn same(first: String, again: &str) -> anyhow::Result<String> {
    if first != again {
        bail!("the two passwords differ");
    }
    Ok(first)
}

/// Prints a new token and its line.
pub(crate) fn create_token(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let expires = args.expires_in.map(|time| SystemClock.now().checked_add(time)).transpose();
    let expires = expires.context("--expires-in is too far away")?;
    let made = web::create_token(&args.name, expires).map_err(anyhow::Error::msg)?;
    println!("The token, which is shown this once:\n\n    {}\n", made.token);
    println!("The line for auth.tokens_file, which lets it in:\n\n    {}\n", made.line);
    println!("A script shows it as `Authorization: Bearer …`; /api/v1/session tells whether it is taken.");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_or_the_same_twice() {
        let read = |text: &str| from_lines(text.as_bytes()).map_err(|error| error.to_string());
        for text in ["a b", "a b\n", "a b\r\n", "a b\na b", "a b\na b\n", "a b\n\n"] {
            assert_eq!(read(text), Ok("a b".to_owned()), "{text:?}");
        }
        assert_eq!(read(""), Ok(String::new()));
        assert_eq!(read("a\nb\n"), Err("the two passwords differ".to_owned()));
    }
}
