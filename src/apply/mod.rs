//! Carrying out what a plan says: everything that changes the system.

pub mod apport;
pub mod build;
pub mod depmod;
pub mod environment;
pub mod essential;
pub mod guard;
pub mod initramfs;
pub mod install;
pub mod loose;
pub mod modprobe;
pub mod original;
pub mod own_writes;
pub mod post_transaction;
pub mod resign;
pub mod rpm_upgrade;
pub mod run;
pub mod script;
pub mod sign;
pub mod tarball;
pub mod tell;
pub mod tree;
pub mod weak_modules;
