//! Kernels on disk, and what their files say about building for them: compiler, compression, signing.
//!
//! Reads only. Observing needs the answers as much as building does: they are inputs of a build.

mod compression;
mod declared;
pub mod headers;
mod index;
mod kbuild;
mod kernel_config;
mod listing;
mod releases;
mod signing;
mod symvers;
pub mod toolchain;
mod types;
mod vermagic;

pub use compression::compression;
pub use declared::{declared, included, text_digest};
pub use index::{depmod_base, index_file, indexed_files};
pub use kbuild::{Kbuild, has_rust_crates};
pub use kernel_config::KernelConfig;
pub use listing::Listing;
pub use releases::{
    DEPMOD_FILES, Releases, any_image, headers_present, image, look_for_headers, look_for_releases,
    only_residue, releases, running,
};
pub use signing::{
    Answer, Boot, Checked, Enforcer, Judge, KernelFiles, KernelJudge, Missing, NotKnown, Pair, PairState,
    Recipe, Refusal, Unsigned, Verdict, check, check_file, pair, recipe, signing_files, signing_identity,
};
pub use symvers::{Exports, Symvers};
pub use types::{configuration, kernel_types, types_of_build};
pub use vermagic::contradiction;
