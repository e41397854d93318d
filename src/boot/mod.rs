//! What a boot loader loads beside a kernel and the programs that make it; which kernel it starts, and who keeps that.

mod files;
pub mod generator;
pub mod grub;
pub mod keep;
mod loader;
pub mod plugins;
mod sealed;
mod started;
pub mod systemd_boot;
mod variable;

pub use loader::Loader;
pub use sealed::{Sealed, sealed};
pub use started::started;

pub use files::{
    BootFile, Found, Kind, boots_by_package, files, flavour, loaders, look_for_files, package_base,
};
