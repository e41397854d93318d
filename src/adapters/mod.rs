//! What package managers tell us, turned into requests.

pub mod apt;
pub mod debian;
pub mod dnf5;
pub mod dpkg;
pub mod in_line;
pub mod incoming;
pub mod kernel_install;
pub mod pacman;
mod pacman_files;
pub mod rpm;
