//! What the test programs share. Each of them uses a part of it.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod archives;
pub mod build_run;
pub mod elf;
pub mod fedora_system;
pub mod json_schema;
pub mod packages;
pub mod program;
pub mod signing;
pub mod snapshot;
pub mod syncs;
pub mod terminal;
pub mod toy_kernel;
pub mod trace;
pub mod type_tables;
pub mod whole_system;
