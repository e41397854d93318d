//! What people and programs see.

pub mod essential;
pub mod fits;
pub mod incoming;
pub mod json;
pub mod kernels;
pub mod overview;
pub mod plan_text;
pub mod secure_boot;
pub mod settings_text;
pub mod signing;
pub mod status;
pub mod summary;
pub mod why;
