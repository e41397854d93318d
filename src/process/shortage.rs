//! Whether memory is short: of the machine, and of the cgroup that this process is in.
//!
//! proc_meminfo(5) says what is free, `/proc/pressure/memory` how long everything waited for memory
//! (Documentation/accounting/psi.rst). A cgroup of version 2 has both, for its own members
//! (Documentation/admin-guide/cgroup-v2.rst); one of version 1 has a limit (cgroup-v1/memory.rst). Limits of its
//! parents count as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the kernel tells of itself.
const PROC: &str = "/proc";

/// Where cgroups are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// How much memory there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Bytes that programs can have now.
    pub available: u64,
    /// Bytes that they could have if nothing else were there.
    pub total: u64,
    /// The part of the time since the last look in which nothing ran, as everything waited for memory.
    pub stalled: f64,
}

/// Looks at memory from time to time.
#[derive(Debug)]
pub struct Watch {
    meminfo: PathBuf,
    pressures: Vec<PathBuf>,
    /// This process's cgroup and those that it is in.
    cgroups: Vec<(PathBuf, &'static Names)>,
    /// When it looked last, and how long each of `pressures` had been waited for until then, in microseconds.
    last: (Instant, Vec<u64>),
}

impl Watch {
    /// Begins with this machine.
    pub fn begin() -> Self {
        Self::of(Path::new(PROC), Path::new(CGROUPS))
    }

    fn of(proc: &Path, mounted: &Path) -> Self {
        let cgroups = cgroups(proc, mounted);
        let mut pressures = vec![proc.join("pressure/memory")];
        pressures.extend(cgroups.first().map(|(dir, _)| dir.join("memory.pressure")));
        let waited = pressures.iter().map(|path| waited(path)).collect();
        Self { meminfo: proc.join("meminfo"), pressures, cgroups, last: (Instant::now(), waited) }
    }

    /// How things are now; `None` where the machine does not say.
    pub fn look(&mut self) -> Option<Look> {
        let text = fs::read_to_string(&self.meminfo).ok()?;
        let kib = |name: &str| number_after(&text, name).map(|kib| kib << 10);
        let (mut available, mut total) = (kib("MemAvailable:")?, kib("MemTotal:")?);
        for (dir, names) in &self.cgroups {
            if let Some((free, limit)) = of_cgroup(dir, names) {
                (available, total) = (available.min(free), total.min(limit));
            }
        }
        let (now, waited): (Instant, Vec<u64>) =
            (Instant::now(), self.pressures.iter().map(|path| waited(path)).collect());
        let passed = now.duration_since(self.last.0).as_secs_f64().max(0.001);
        let longest = waited.iter().zip(&self.last.1).map(|(now, then)| now.saturating_sub(*then)).max();
        self.last = (now, waited);
        // Some hundred seconds at most: a float holds them exactly.
        let stalled = longest.unwrap_or(0) as f64 / 1e6 / passed;
        Some(Look { available, total, stalled })
    }
}

/// How many processes the kernel has killed for want of memory, on this machine and in this cgroup. `None` where
/// it does not say. Only the difference of two of these means something.
pub fn kills() -> Option<u64> {
    kills_of(Path::new(PROC), Path::new(CGROUPS))
}

fn kills_of(proc: &Path, mounted: &Path) -> Option<u64> {
    let read = |path: PathBuf| number_after(&fs::read_to_string(path).ok()?, "oom_kill ");
    let own = cgroups(proc, mounted).first().and_then(|(dir, names)| read(dir.join(names.kills)));
    let machine = read(proc.join("vmstat"));
    if own.is_none() && machine.is_none() {
        return None;
    }
    Some(own.unwrap_or(0) + machine.unwrap_or(0))
}

/// What the files of a cgroup are called.
#[derive(Debug)]
struct Names {
    limit: &'static str,
    used: &'static str,
    /// Lines of `memory.stat` with what is in memory of files.
    files: [&'static str; 2],
    /// Where the number of processes is that were killed.
    kills: &'static str,
}

const VERSION_2: Names = Names {
    limit: "memory.max",
    used: "memory.current",
    files: ["active_file ", "inactive_file "],
    kills: "memory.events",
};

const VERSION_1: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    files: ["total_active_file ", "total_inactive_file "],
    kills: "memory.oom_control",
};

/// The cgroup of this process that rules memory, and those that it is in.
fn cgroups(proc: &Path, mounted: &Path) -> Vec<(PathBuf, &'static Names)> {
    // cgroups(7): number, controllers, path.
    let text = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(":/"));
    let of_memory = lines().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    let (mounted, own, names) = match (of_memory, lines().find(|(controllers, _)| controllers.is_empty())) {
        (Some((_, own)), _) => (mounted.join("memory"), own, &VERSION_1),
        (None, Some((_, own))) => (mounted.to_path_buf(), own, &VERSION_2),
        (None, None) => return Vec::new(),
    };
    let own = mounted.join(own);
    let within = own.ancestors().take_while(|dir| dir.starts_with(&mounted));
    within.map(|dir| (dir.to_path_buf(), names)).collect()
}

/// What is free below a cgroup's limit, and the limit, in bytes. What it has of files in memory is free: it is
/// given up when something else needs the memory.
fn of_cgroup(dir: &Path, names: &Names) -> Option<(u64, u64)> {
    let read = |name: &str| fs::read_to_string(dir.join(name)).ok();
    let limit: u64 = read(names.limit)?.trim().parse().ok()?;
    let used: u64 = read(names.used)?.trim().parse().ok()?;
    let stat = read("memory.stat").unwrap_or_default();
    let files = names.files.map(|name| number_after(&stat, name).unwrap_or(0));
    let used = used.saturating_sub(files.iter().sum());
    Some((limit.saturating_sub(used), limit))
}

/// For how long nothing ran, as everything waited for memory, in microseconds.
fn waited(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let full = text.lines().find(|line| line.starts_with("full "));
    full.and_then(|line| line.rsplit_once("total=")?.1.trim().parse().ok()).unwrap_or(0)
}

/// The number behind a name at the beginning of a line.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            machine.set("proc/meminfo", "MemTotal:  4000 kB\nMemFree: 1 kB\nMemAvailable:  3000 kB\n");
            machine.set("proc/vmstat", "pgfault 7\noom_kill 3\n");
            machine
        }

        fn set(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn pressure(&self, path: &str, total: u64) {
            let line = |kind| format!("{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n");
            self.set(path, &(line("some") + &line("full")));
        }

        fn watch(&self) -> Watch {
            Watch::of(&self.0.path().join("proc"), &self.0.path().join("cgroup"))
        }

        fn kills(&self) -> Option<u64> {
            kills_of(&self.0.path().join("proc"), &self.0.path().join("cgroup"))
        }
    }

    #[test]
    fn the_machine_says_what_is_free() {
        let machine = Machine::new();
        let look = machine.watch().look().unwrap();
        assert_eq!((look.available, look.total, look.stalled), (3000 << 10, 4000 << 10, 0.0));
        assert_eq!(machine.kills(), Some(3));
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(Watch::of(nothing.path(), nothing.path()).look(), None);
        assert_eq!(kills_of(nothing.path(), nothing.path()), None);
    }

    #[test]
    fn the_tightest_cgroup_counts_and_its_files_in_memory_are_free() {
        let machine = Machine::new();
        machine.set("proc/self/cgroup", "0::/system.slice/apt.service\n");
        machine.set("cgroup/system.slice/memory.max", "2097152\n");
        machine.set("cgroup/system.slice/memory.current", "2000000\n");
        machine.set("cgroup/system.slice/memory.stat", "anon 7\nactive_file 500000\ninactive_file 500000\n");
        machine.set("cgroup/system.slice/apt.service/memory.max", "max\n");
        machine.set("cgroup/system.slice/apt.service/memory.events", "low 0\noom 9\noom_kill 2\n");
        let look = machine.watch().look().unwrap();
        assert_eq!((look.available, look.total), (1_097_152, 2_097_152));
        assert_eq!(machine.kills(), Some(5));
    }

    #[test]
    fn a_cgroup_of_version_1_has_its_own_names() {
        let machine = Machine::new();
        machine.set("proc/self/cgroup", "9:name=systemd:/x\n4:memory,cpu:/box\n0::/\n");
        machine.set("cgroup/memory/box/memory.limit_in_bytes", "2097152\n");
        machine.set("cgroup/memory/box/memory.usage_in_bytes", "2000000\n");
        machine.set("cgroup/memory/box/memory.stat", "active_file 1\ntotal_active_file 500000\n");
        machine.set("cgroup/memory/box/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
        let look = machine.watch().look().unwrap();
        assert_eq!((look.available, look.total), (597_152, 2_097_152));
        assert_eq!(machine.kills(), Some(7));
    }

    #[test]
    fn what_was_waited_for_since_the_last_look_counts() {
        let machine = Machine::new();
        machine.set("proc/self/cgroup", "0::/a\n");
        machine.pressure("proc/pressure/memory", 5_000_000);
        machine.pressure("cgroup/a/memory.pressure", 0);
        let mut watch = machine.watch();
        watch.last.0 -= std::time::Duration::from_secs(1000);
        assert_eq!(watch.look().unwrap().stalled, 0.0);
        machine.pressure("cgroup/a/memory.pressure", 500_000_000);
        watch.last.0 -= std::time::Duration::from_secs(1000);
        let stalled = watch.look().unwrap().stalled;
        assert!(stalled > 0.1 && stalled <= 0.5, "{stalled}");
    }
}
