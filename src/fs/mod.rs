//! Files and directories, without knowledge of modules or kernels.

pub mod digest;
pub mod look;
pub mod root;
pub mod stamp;
pub mod store;
