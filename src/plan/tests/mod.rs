//! The rules of planning, one test each, and what holds for every plan.

mod abi;
mod archive;
mod bring;
mod dependencies;
mod endings;
mod model;
mod properties;
mod purge;
mod reconcile;
mod signing;
mod world;
