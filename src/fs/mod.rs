//! Files and directories, without knowledge of modules or kernels.

pub mod atomic;
pub mod beneath;
pub mod census;
pub mod copy;
pub mod digest;
pub mod directories;
pub mod exchange;
pub mod look;
pub mod ownership;
pub mod regular;
pub mod root;
pub mod same;
pub mod stamp;
pub mod sync;
pub mod temporary;
pub mod workbench;
