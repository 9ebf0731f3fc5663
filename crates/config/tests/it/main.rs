//! The crate from outside: files, environments and flags in, settings or problems out.

mod loading;
mod mistakes;
mod secrets;
mod sources;
mod support;
