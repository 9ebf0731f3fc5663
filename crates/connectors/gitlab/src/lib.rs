//! connector-gitlab
