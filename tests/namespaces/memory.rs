//! Builds that need more memory than there is, in a cgroup with a limit. Without the right to make one that rules
//! memory they are counted as skipped.

use std::path::PathBuf;
use std::process::Command;

use crate::support::program::{Answer, Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

/// Fails where no cgroup with a limit of memory can be made.
pub const PROBE: &str = "for d in /sys/fs/cgroup/memory /sys/fs/cgroup; do \
    [ -d $d/toy-probe ] || mkdir $d/toy-probe 2>/dev/null || continue; \
    ls $d/toy-probe/memory.max $d/toy-probe/memory.limit_in_bytes 2>/dev/null | grep -q . ; found=$?; \
    rmdir $d/toy-probe; [ $found = 0 ] && exit 0; done; echo no cgroup with a limit of memory >&2; exit 1";

pub const SCENARIOS: [(&str, fn()); 2] = [
    ("too_little_for_two_jobs_gives_one", too_little_for_two_jobs_gives_one),
    ("what_the_kernel_kills_is_built_again_alone", what_the_kernel_kills_is_built_again_alone),
];

/// A cgroup that goes away at the end.
struct Cgroup(PathBuf);

impl Cgroup {
    fn with(mebibytes: u64) -> Self {
        let name = format!("toy-{mebibytes}-{}", std::process::id());
        let old = PathBuf::from("/sys/fs/cgroup/memory");
        let (parent, file) = match old.join("memory.limit_in_bytes").exists() {
            true => (old, "memory.limit_in_bytes"),
            false => (PathBuf::from("/sys/fs/cgroup"), "memory.max"),
        };
        let dir = parent.join(name);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(file), (mebibytes << 20).to_string()).unwrap();
        Self(dir)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process may be a moment in leaving.
        for _ in 0..500 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// A module with two jobs that each need so much memory, and wait a while for each other before they end.
fn hungry(root: &FakeRoot, mebibytes: u64) {
    let log = root.path("/var/log").display().to_string();
    let makefile = format!(
        "ifneq ($(M),)\nobj-m := met.o\nelse\nall: one two\n\t$(MAKE) -C {kernel} M=$(CURDIR)\n\
         one two:\n\t@touch {log}/$@.runs; ls {log} | grep -c runs >> {log}/most; \
         (head -c {mebibytes}m /dev/zero; touch {log}/$@.full; n=0; \
         until [ -e {log}/one.full -a -e {log}/two.full ] || [ $$n -gt 40 ]; do n=$$((n + 1)); sleep 0.05; done) \
         | tail > /dev/null; code=$$?; rm -f {log}/$@.runs {log}/*.full; exit $$code\nendif\n",
        kernel = root.path(format!("/usr/src/linux-headers-{K}")).display(),
    );
    ToyModule::new("met", "1").make("make all").file("Makefile", &makefile).register(root);
}

fn build_in(root: &FakeRoot, cgroup: &Cgroup) -> Answer {
    let program = root.program(Face::Dkms);
    let link = root.path("/var/log/dkms");
    std::os::unix::fs::symlink(program.get_program(), &link).unwrap();
    let mut shell = Command::new("sh");
    shell.env_clear();
    for (name, value) in program.get_envs() {
        value.map(|value| shell.env(name, value));
    }
    let procs = cgroup.0.join("cgroup.procs").display().to_string();
    let text = format!("echo $$ > {procs} && exec {} build met/1 -k {K} -j 2", link.display());
    finish(shell.args(["-c", &text]))
}

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root.write("/var/log/most", "");
    root
}

fn most_at_once(root: &FakeRoot) -> Vec<String> {
    root.read("/var/log/most").lines().map(str::to_owned).collect()
}

fn too_little_for_two_jobs_gives_one() {
    let (root, cgroup) = (root(), Cgroup::with(250));
    hungry(&root, 100);
    build_in(&root, &cgroup).expect(0).does_not_say("memory ran out");
    assert_eq!(most_at_once(&root), ["1", "1"]);
}

fn what_the_kernel_kills_is_built_again_alone() {
    // Two jobs would fit if each needed what most do.
    let (root, cgroup) = (root(), Cgroup::with(700));
    hungry(&root, 450);
    build_in(&root, &cgroup).expect(0).says("memory ran out; building it again alone, with one job");
    let log = root.read(format!("/var/lib/dkms/met/1/{K}/x86_64/log/make.log"));
    assert!(log.contains("# command: make -j1 "), "{log}");
    assert!(most_at_once(&root).contains(&"2".to_owned()), "{:?}", most_at_once(&root));
}
