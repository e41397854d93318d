//! Tests that build no module: what the repository's own files say of each other and of the program.
//!
//! The planner has a program of its own, `tests/plan_oracle`, and so have the readers of dkms.conf.

#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod manual_pages;
mod opening;
