//! What a boot loader loads beside a kernel, and the programs that make it.

mod files;
pub mod generator;
pub mod plugins;

pub use files::{
    BootFile, Found, Kind, boots_by_package, files, flavour, loaders, look_for_files, package_base,
};
