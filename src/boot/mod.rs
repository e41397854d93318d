//! What a boot loader loads beside a kernel, and the programs that make it.

mod files;
pub mod generator;
pub mod plugins;

pub use files::{
    BootFile, Kind, boots_by_package, files, flavour, loaders, newest, oldest, package_base, unseen,
};
