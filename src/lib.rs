//! dkms-hook keeps out-of-tree kernel modules working through every kernel upgrade.
//!
//! The library exists for the program and its tests. Its rooms, from the top down: [`cli`] and
//! [`adapters`] turn what is asked into a [`model::request::Request`]; [`observe`] looks; [`plan`]
//! decides, purely; [`apply`] carries out; [`report`] tells. `docs/architecture.md` has the picture.
//!
//! Rooms that compute touch no file, no process, no environment and no clock. The lints below hold
//! that; each room that may do so says it here.

#![warn(clippy::disallowed_methods, clippy::disallowed_types)]

#[expect(clippy::disallowed_methods)]
pub mod adapters;
#[expect(clippy::disallowed_methods)]
pub mod apply;
#[expect(clippy::disallowed_methods)]
pub mod archive;
#[expect(clippy::disallowed_methods)]
pub mod boot;
#[expect(clippy::disallowed_methods)]
pub mod btf;
#[expect(clippy::disallowed_methods)]
pub mod cache;
#[expect(clippy::disallowed_methods)]
pub mod cli;
#[expect(clippy::disallowed_methods)]
pub mod conf;
#[expect(clippy::disallowed_methods)]
pub mod depmod;
#[expect(clippy::disallowed_methods)]
pub mod display;
#[expect(clippy::disallowed_methods)]
pub mod elf;
#[expect(clippy::disallowed_methods)]
pub mod fs;
#[expect(clippy::disallowed_methods)]
pub mod kernel;
#[expect(clippy::disallowed_methods)]
pub mod machine;
pub mod model;
#[expect(clippy::disallowed_methods)]
pub mod observe;
#[expect(clippy::disallowed_methods)]
pub mod packages;
#[expect(clippy::disallowed_methods)]
#[cfg(feature = "packaging")]
pub mod packaging;
pub mod plan;
#[expect(clippy::disallowed_methods)]
pub mod preflight;
#[expect(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod process;
pub mod progress;
pub mod report;
#[expect(clippy::disallowed_methods)]
pub mod settings;
#[expect(clippy::disallowed_methods)]
pub mod tree;
#[expect(clippy::disallowed_methods)]
pub mod trust;
