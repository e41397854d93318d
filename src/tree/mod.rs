//! DKMS's tree: where everything in it is, and what is registered there.

pub mod layout;
pub mod registry;
