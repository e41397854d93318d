//! What package managers tell us, turned into requests.

pub mod debian;
pub mod dpkg;
