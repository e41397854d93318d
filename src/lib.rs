//! dkms-hook keeps out-of-tree kernel modules working through every kernel upgrade.
//!
//! The library exists for the program and its tests. Its rooms, from the top down: [`cli`] and
//! [`adapters`] turn what is asked into a [`model::request::Request`]; [`observe`] looks; [`plan`]
//! decides, purely; [`apply`] carries out; [`report`] tells. `docs/architecture.md` has the picture.

pub mod adapters;
pub mod apply;
pub mod archive;
pub mod boot;
pub mod cli;
pub mod conf;
pub mod elf;
pub mod fs;
pub mod kernel;
pub mod machine;
pub mod model;
pub mod observe;
pub mod packages;
#[cfg(feature = "packaging")]
pub mod packaging;
pub mod plan;
pub mod process;
pub mod progress;
pub mod report;
pub mod tree;
pub mod trust;
