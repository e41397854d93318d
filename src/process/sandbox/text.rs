//! The layers in words.

use nix::errno::Errno;

use super::machine::Machine;
use super::user::{NAME, User};

/// Which there are, and which not and why.
pub(super) fn layers(machine: &Machine, user: Option<&User>) -> String {
    let who = match user {
        Some(user) if user.named => format!("as {NAME}"),
        Some(user) => format!("as user {}, which nobody is", user.uid),
        None => "as the same user, without capabilities".to_owned(),
    };
    let mut parts = vec![who];
    let all = namespaces(machine);
    let had: Vec<&str> = all.iter().filter(|(_, layer)| layer.is_ok()).map(|(name, _)| *name).collect();
    if !had.is_empty() {
        let inside = if machine.in_user_namespace { " in a user namespace" } else { "" };
        parts.push(format!("own {}{inside}", had.join(", ")));
    }
    if let Ok(version) = machine.landlock {
        parts.push(format!("Landlock {version}"));
    }
    if machine.filter.is_ok() {
        parts.push("filter of system calls".to_owned());
    }
    let text = format!("confined: {}", parts.join("; "));
    match missing(machine) {
        missing if missing.is_empty() => text,
        missing => format!("{text}; without {}", missing.join(", ")),
    }
}

/// What is not to be had here, each with the kernel's reason.
pub(super) fn missing(machine: &Machine) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    if let Err(error) = machine.user {
        missing.push(format!("another user ({})", error.desc()));
    }
    let lack = |(name, layer): &(&str, Result<(), Errno>)| {
        layer.err().map(|error| format!("own {name} ({})", error.desc()))
    };
    missing.extend(namespaces(machine).iter().filter_map(lack));
    if let Err(error) = machine.landlock {
        missing.push(format!("Landlock ({})", error.desc()));
    }
    if let Err(error) = machine.filter {
        missing.push(format!("filter of system calls ({})", error.desc()));
    }
    missing
}

fn namespaces(machine: &Machine) -> [(&'static str, Result<(), Errno>); 6] {
    [
        ("mounts", machine.mounts.map(|_| ())),
        ("processes", machine.processes),
        ("/proc", machine.proc),
        ("network", machine.network),
        ("IPC", machine.ipc),
        ("host name", machine.names),
    ]
}
