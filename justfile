# `just` lists the recipes; each is one command that works without just as well.

_default:
    @just --list

# The three binaries, optimised.
build:
    cargo build --release --locked --workspace --bins

# Simulated platforms and the real thing on http://127.0.0.1:8080
demo *ARGS:
    cargo run --release --locked -- demo {{ARGS}}

# Both daemons in the background (pid files and logs: target/run)
run-all *ARGS:
    ./scripts/run-all {{ARGS}}

# Ends what run-all started.
stop-all:
    ./scripts/stop-all

# Everything that CI runs.
test *ARGS:
    ./scripts/test {{ARGS}}

# Formatting, lints, documentation.
lint:
    ./scripts/test fmt clippy doc

# Formats the code.
fmt:
    cargo fmt --all

# How the board and the overview grow with the number of projects.
bench:
    cargo bench --locked -p aggregator --bench board

# What history costs, and how soon it answers: a million runs over 400 days, in SQLite and in a PostgreSQL of its own.
bench-history:
    cargo bench --locked -p history-sqlite --bench history
    cargo bench --locked -p history-postgres --bench history

# How fresh the board is and what that costs, in virtual time: `just bench-fresh github`
bench-fresh *FILTER:
    cargo bench --locked -p aggregator --bench fresh -- {{FILTER}}

# From a webhook that is accepted to the events in 200 browsers.
bench-webhooks:
    cargo bench --locked -p ci-dashboard --bench webhooks
