//! Which processes led to this one, as proc(5) tells. In a chroot without `/proc` there are none.

use std::path::Path;

/// How far up it is worth looking: a package's script may call a script that calls a script.
const DEPTH: usize = 16;

/// A process: its id, its parent, and its start in clock ticks since the system started (ids are used
/// again).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ancestor {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// When it was started.
    pub started: u64,
}

/// This process. Its id is that by which `/proc` knows it, which in a container may be another than
/// its own.
pub fn own() -> Option<Ancestor> {
    read("self")
}

/// What proc_pid_stat(5) says of a process.
pub fn find(pid: u32) -> Option<Ancestor> {
    read(&pid.to_string())
}

fn read(name: &str) -> Option<Ancestor> {
    let text = std::fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
    // The second field is the name in parentheses, which may hold anything.
    let (first, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let pid = first.split(' ').next()?.parse().ok()?;
    Some(Ancestor { pid, parent: fields.get(1)?.parse().ok()?, started: fields.get(19)?.parse().ok()? })
}

/// True when one of them is a shell (or another interpreter) that runs a file whose name starts so.
pub fn run_script_named(prefix: &str) -> bool {
    let parent = |process: &Ancestor| find(process.parent);
    std::iter::successors(own(), parent).skip(1).take(DEPTH).any(|process| {
        let words = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        let script = words.split(|byte| *byte == 0).nth(1).unwrap_or_default();
        let name = String::from_utf8_lossy(script);
        Path::new(&*name).file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_parent_that_runs_no_such_script() {
        let own = own().unwrap();
        assert!(own.parent > 0 && own.started > 0);
        assert_eq!(find(own.pid), Some(own));
        assert!(!run_script_named("rpm-tmp."));
        assert_eq!(find(u32::MAX), None);
    }
}
