//! Scenarios on fake roots: the real program, on a temporary directory that is laid out like a machine,
//! with toy kernels whose headers really compile. None of them needs root, a network or a real kernel.
//!
//! One program for all of them: it is linked once, and its tests share the processors. A scenario that
//! needs mounts, or processes of its own, is one of `tests/namespaces`. What needs no root is in
//! `tests/pure`.

#[path = "../support/mod.rs"]
mod support;

mod abi;
mod agreement;
mod alpm_events;
mod alpm_hook_files;
mod apt;
mod at_once;
mod autoinstall;
mod bad_input;
mod blind;
mod boot_guard;
mod build_failures;
mod build_pipeline;
mod build_signing;
mod cache;
mod checkout;
mod commands;
mod compilers;
mod conf_answers;
mod conf_power;
mod confined;
mod crowd;
mod dependents;
mod depends;
mod depmod;
mod dnf5;
mod durable;
mod environment;
mod essential;
mod failures;
mod faults;
mod finishing;
mod fixtures;
mod foreign;
mod histories;
mod hook_orders;
mod hooks;
mod incoming;
mod index;
mod inputs;
mod install;
mod install_scripts;
mod installed_kernels;
mod interrupt;
mod jobs;
mod json_schema;
mod kernel_install;
mod kernels;
mod key_places;
mod killed;
mod limits;
mod loose_sources;
mod mktarball;
mod older_versions;
mod own_index;
mod own_writes;
mod progress;
mod races;
#[cfg(feature = "recording")]
mod recordings;
mod rpm_events;
mod scale;
mod secure_boot;
mod settings;
mod signing;
mod sources;
mod tarball_safety;
mod tarballs;
mod toy_demo;
mod types;
mod uname;
mod weak_updates;
mod why;
