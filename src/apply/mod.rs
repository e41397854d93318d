//! Carrying out what a plan says: everything that changes the system.

pub mod build;
pub mod depmod;
pub mod files;
pub mod initramfs;
pub mod install;
pub mod lock;
pub mod notes;
pub mod original;
pub mod recover;
pub mod run;
pub mod script;
pub mod sign;
pub mod tree;
