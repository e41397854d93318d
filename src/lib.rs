//! dkms-hook keeps out-of-tree kernel modules working through every kernel upgrade.
//!
//! The library exists for the program and its tests. Its rooms, from the top down: [`cli`] and
//! [`adapters`] turn what is asked into a [`request::Request`]; [`system`] observes; [`plan`]
//! decides, purely; [`apply`] carries out; [`report`] tells. `docs/architecture.md` has the picture.

pub mod abi;
pub mod adapters;
pub mod apply;
pub mod archive;
pub mod chroot;
pub mod cli;
pub mod conf;
pub mod digest;
pub mod elf;
pub mod error;
pub mod firmware;
pub mod ids;
pub mod inputs;
pub mod kbuild;
pub mod layout;
pub mod machine;
pub mod packages;
#[cfg(feature = "packaging")]
pub mod packaging;
pub mod pki;
pub mod plan;
pub mod process;
pub mod record;
pub mod report;
pub mod request;
pub mod root;
pub mod store;
pub mod system;
pub mod version_order;
