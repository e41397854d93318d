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
    // What is missing for one reason is said with one.
    let mut lacking: Vec<(Errno, Vec<&str>)> = Vec::new();
    for (name, layer) in namespaces(machine) {
        let Err(error) = layer else { continue };
        match lacking.iter_mut().find(|(known, _)| *known == error) {
            Some((_, names)) => names.push(name),
            None => lacking.push((error, vec![name])),
        }
    }
    missing
        .extend(lacking.iter().map(|(error, names)| format!("own {} ({})", names.join(", "), error.desc())));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::sandbox::mounts::RootKind;

    fn machine() -> Machine {
        Machine {
            user: Ok(()),
            in_user_namespace: false,
            mounts: Ok(RootKind::Mount),
            processes: Ok(()),
            proc: Ok(()),
            network: Ok(()),
            ipc: Ok(()),
            names: Ok(()),
            landlock: Ok(7),
            filter: Ok(()),
        }
    }

    #[test]
    fn a_line_says_what_there_is_and_what_not_and_why() {
        let user = User::fixture(60_999);
        assert_eq!(
            layers(&machine(), Some(&user)),
            "confined: as user 60999, which nobody is; own mounts, processes, /proc, network, IPC, host name; \
             Landlock 7; filter of system calls"
        );
        let no = Err(Errno::EPERM);
        let machine = Machine {
            user: no,
            mounts: Err(Errno::EPERM),
            proc: no,
            network: Err(Errno::EINVAL),
            landlock: Err(Errno::ENOSYS),
            in_user_namespace: true,
            ..machine()
        };
        assert_eq!(
            layers(&machine, None),
            "confined: as the same user, without capabilities; own processes, IPC, host name in a user namespace; \
             filter of system calls; without another user (Operation not permitted), own mounts, /proc (Operation not \
             permitted), own network (Invalid argument), Landlock (Function not implemented)"
        );
    }
}
