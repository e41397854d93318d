//! The rules of planning, one test each, and what holds for every plan.

mod abi;
mod archive;
mod boot_entry;
mod bring;
mod dependencies;
mod endings;
mod installs;
mod model;
mod older;
mod properties;
mod purge;
mod reconcile;
mod sharing;
mod signing;
mod world;
