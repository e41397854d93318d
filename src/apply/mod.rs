//! Carrying out what a plan says: everything that changes the system.

pub mod build;
pub mod script;
