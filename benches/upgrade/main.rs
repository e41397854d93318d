//! A kernel upgrade with ten real module packages: ours, the bare makes, and Debian's dkms, on a full-size kernel
//! of some 4,230 modules and on a cloud kernel.
//!
//! Times depend on the machine and are never judged here; docs/benchmarks.md says what the ratios should be. What is
//! judged: that builds at once and one after another give the same modules, and that our index is depmod's, byte for
//! byte.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

#[path = "../support/run.rs"]
#[allow(dead_code, reason = "of the benches that share it, each needs a part")]
mod run;
#[path = "../support/timing.rs"]
mod timing;

#[path = "../support/tree.rs"]
#[allow(dead_code, reason = "of the benches that share it, each needs a part")]
mod tree;

mod many;
mod table;

use run::Contender;
use table::Table;

/// The eleven files of an index.
const INDEX: &str = "modules.dep modules.dep.bin modules.alias modules.alias.bin modules.softdep modules.weakdep \
                     modules.symbols modules.symbols.bin modules.builtin.bin modules.builtin.alias.bin \
                     modules.devname";

fn main() -> ExitCode {
    if run::print_peak() {
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|word| word == "--inside") {
        return measure();
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("\n*** SKIPPED: kernel upgrades. It needs root, for a root directory of its own.\n");
        return ExitCode::SUCCESS;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let this = std::env::current_exe().expect("a running program has a path");
    let status = Command::new(here.join("benches/upgrade/enter"))
        .arg(this)
        .arg(env!("CARGO_BIN_EXE_dkms-hook"))
        .arg(here.join("target/bench/upgrade.json"))
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        other => {
            eprintln!("benches/upgrade: {other:?}");
            ExitCode::FAILURE
        }
    }
}

/// What is measured, and with which programs.
struct Bench {
    full: String,
    cloud: String,
    /// An earlier release of ours is there.
    before: bool,
    jobs: usize,
    table: Table,
}

fn measure() -> ExitCode {
    let kernels = std::fs::read_to_string("/kernels").expect("setup wrote it");
    let mut kernels = kernels.lines().map(str::to_owned);
    let (full, cloud) = (kernels.next().expect("two kernels"), kernels.next().expect("two kernels"));
    let parts = std::env::var("BENCH_PARTS").unwrap_or_default();
    let wanted = |part: &str| parts.is_empty() || parts.split_whitespace().any(|word| word == part);
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|n| n.parse().ok());
    let mut bench = Bench {
        before: Path::new("/opt/before/dkms").exists(),
        jobs: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        table: Table::new(rounds),
        full,
        cloud,
    };
    println!("\nKernels {} and {}; {}.\n", bench.full, bench.cloud, table::processor());
    if parts.is_empty() || parts.split_whitespace().any(|part| part != "many" && part != "large") {
        bench.learn();
    }
    let full = [bench.full.clone()];
    let both = [bench.full.clone(), bench.cloud.clone()];
    if wanted("build") {
        bench.build("build", "Ten packages for one full-size kernel, from nothing to installed", &full);
    }
    if wanted("build-two") {
        bench.build("build-two", "The same for two kernels at once", &both);
    }
    if wanted("cache") {
        bench.cached(&full);
    }
    let mut good = true;
    if wanted("bytes") {
        good &= bench.bytes(&both);
    }
    if wanted("index") {
        good &= bench.index();
    }
    if wanted("remove") {
        bench.removals();
    }
    if wanted("idle") {
        bench.idle();
    }
    if wanted("many") {
        bench.many();
    }
    if wanted("large") {
        bench.large();
    }
    bench.table.save(Path::new("/result.json"));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a text of the shell that has to work.
fn sh(text: &str) -> String {
    let out = Command::new("bash").args(["-ec", text]).output().expect("bash can be run");
    assert!(out.status.success(), "failed: {text}\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

impl Bench {
    /// Which modules each kernel gets, and the longest of them first.
    fn learn(&self) {
        for kernel in [&self.full, &self.cloud] {
            sh(&format!(
                "/opt/bench/fresh {kernel}; /opt/ours/dkms autoinstall -k {kernel} >/dev/null 2>&1 || true
                 list=$(/opt/ours/dkms status -k {kernel} | sed -n 's/^\\([^,]*\\), .*: installed.*/\\1/p')
                 /opt/bench/bare learn {kernel} $list"
            ));
        }
    }

    /// The programs that install modules for these kernels.
    fn installers(&self, kernels: &[String], ours: &[(&'static str, &str)]) -> Vec<Contender> {
        let all = kernels.join(" ");
        let each = |program: &str| {
            let one = |kernel: &String| format!("{program}/dkms autoinstall -k {kernel} || [ $? = 11 ]");
            kernels.iter().map(one).collect::<Vec<_>>().join("\n")
        };
        let hook = |program: &str| {
            let named: Vec<String> = kernels.iter().map(|kernel| format!("--kernel {kernel}")).collect();
            format!("{program}/dkms-hook {}", named.join(" "))
        };
        let mut contenders = Vec::new();
        for (name, kept) in ours {
            let contender = Contender::new(name, &hook("/opt/ours"));
            contenders.push(contender.after(format!("/opt/bench/fresh {kept} {all}")));
        }
        if self.before {
            let before = Contender::new("before", &hook("/opt/before"));
            contenders.push(before.after(format!("/opt/bench/fresh {all}")));
        }
        contenders.push(
            Contender::shell("Debian's dkms autoinstall", &each("/usr/sbin"))
                .after(format!("/opt/bench/fresh {all}"))
                .at_most(1),
        );
        contenders
    }

    /// From nothing to installed, beside the bare makes.
    fn build(&mut self, part: &'static str, title: &str, kernels: &[String]) {
        let all = kernels.join(" ");
        // Once, so that the kernels' modules are known.
        sh(&format!(
            "/opt/bench/fresh {all}; for k in {all}; do /opt/ours/dkms autoinstall -k $k >/dev/null || true; done
             /opt/bench/fresh --save"
        ));
        let bare = |name, jobs: usize| {
            Contender::new(name, &format!("/opt/bench/bare run {jobs}"))
                .after(format!("/opt/bench/bare prepare {all}"))
        };
        let mut contenders =
            vec![bare("bare makes, -jN", self.jobs), bare("bare makes, -jN+1", self.jobs + 1)];
        contenders
            .extend(self.installers(kernels, &[("ours, kernel known", "--known"), ("ours, kernel new", "")]));
        self.table.compare(part, title, &contenders, 3);
    }

    /// All at once, or one after another: the same modules, byte for byte.
    fn bytes(&self, kernels: &[String]) -> bool {
        let installed =
            "(cd /lib/modules; find */updates -name '*.ko*' -print0 | sort -z | xargs -0 sha256sum)";
        let all = kernels.join(" ");
        let named: Vec<String> = kernels.iter().map(|kernel| format!("--kernel {kernel}")).collect();
        let at_once = sh(&format!(
            "/opt/bench/fresh {all}; /opt/ours/dkms-hook {} >/dev/null || true; {installed}",
            named.join(" ")
        ));
        let one_by_one = sh(&format!(
            "/opt/bench/fresh {all}
             for k in {all}; do for m in $(cat /order-$k); do /opt/ours/dkms install $m -k $k >/dev/null; done; done
             {installed}"
        ));
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        let (at_once, one_by_one) = (lines(&at_once), lines(&one_by_one));
        let others: Vec<&String> = at_once.symmetric_difference(&one_by_one).collect();
        println!(
            "Built at once and one after another: {} modules, {} not the same.\n",
            at_once.len(),
            others.len()
        );
        others.iter().for_each(|line| eprintln!("not the same: {line}"));
        others.is_empty() && !at_once.is_empty()
    }

    /// The same with every build in the cache.
    fn cached(&mut self, kernels: &[String]) {
        let all = kernels.join(" ");
        sh(&format!(
            "/opt/bench/fresh {all}; /opt/ours/dkms-hook --kernel {all} >/dev/null; /opt/bench/fresh --save"
        ));
        let contenders = self.installers(kernels, &[("ours, cached", "--known --cached")]);
        self.table.compare("cache", "Ten packages, every build in the cache", &contenders, 3);
    }

    /// One changed module; and that the files are depmod's.
    fn index(&mut self) -> bool {
        let kernel = &self.full;
        let name = sh(&format!("head -n1 /order-{kernel}")).trim().to_owned();
        let reset = format!("/opt/ours/dkms uninstall {name} -k {kernel} >/dev/null");
        sh(&format!("/opt/bench/fresh {kernel}; /opt/ours/dkms-hook --kernel {kernel} >/dev/null"));
        let ours = Contender::new(
            "ours, one module installed",
            &format!("/opt/ours/dkms install {name} -k {kernel}"),
        )
        .after(reset.clone());
        let first = Contender::new("ours, kernel new", &ours.words.join(" "))
            .after(format!("{reset}; rm -f /var/lib/dkms/.dkms-hook/modules/*"));
        let theirs = Contender::new("depmod -a", &format!("depmod -a {kernel}"));
        ours.run();
        let same = sh(&format!(
            "cd /lib/modules/{kernel}; mkdir -p /index; for f in {INDEX}; do cp $f /index/; done
             depmod -a {kernel}; for f in {INDEX}; do cmp -s $f /index/$f || echo $f; done"
        ));
        if !same.trim().is_empty() {
            eprintln!("of the index, these files are not as depmod makes them: {}", same.replace('\n', " "));
        }
        self.table.compare("index", "One changed module on a full-size kernel", &[ours, theirs, first], 5);
        same.trim().is_empty()
    }

    /// Modules and kernels that go.
    fn removals(&mut self) {
        let kernel = &self.full;
        let loops = |program: &str| {
            format!("while read -r m; do {program}/dkms remove $m -k {kernel}; done </order-{kernel}")
        };
        let prepared = format!("/opt/bench/fresh {kernel}; /opt/ours/dkms-hook --kernel {kernel} >/dev/null");
        // For Debian's dkms our records are files that it does not know.
        let remove = |name, program| Contender::shell(name, &loops(program)).after(prepared.clone());
        let mut contenders = vec![remove("ours", "/opt/ours")];
        if self.before {
            contenders.push(remove("before", "/opt/before"));
        }
        contenders.push(remove("Debian's dkms", "/usr/sbin").at_most(1));
        self.table.compare("remove", "Ten single removals (dkms remove M -k K)", &contenders, 3);

        let prerm = |name, program: &str| {
            Contender::new(name, &format!("{program}/dkms kernel_prerm -k {kernel}")).after(prepared.clone())
        };
        let mut contenders = vec![prerm("ours", "/opt/ours")];
        if self.before {
            contenders.push(prerm("before", "/opt/before"));
        }
        contenders.push(prerm("Debian's dkms (no depmod)", "/usr/sbin"));
        self.table.compare(
            "kernel-removed",
            "A kernel with ten packages is removed (dkms kernel_prerm)",
            &contenders,
            5,
        );
    }

    /// Nothing to do, and what is there.
    fn idle(&mut self) {
        let (full, cloud) = (&self.full, &self.cloud);
        sh(&format!(
            "/opt/bench/fresh {full} {cloud}
             for i in 1 2; do /opt/ours/dkms-hook --kernel {full} --kernel {cloud} >/dev/null || true; done"
        ));
        let programs = |words: &str| {
            let mut all = vec![Contender::new("ours", &format!("/opt/ours/{words}"))];
            if self.before {
                all.push(Contender::new("before", &format!("/opt/before/{words}")));
            }
            all
        };
        // Typed by a person, it asks the dkms.conf again that needs bash; a package manager's hook does not.
        let mut contenders = programs("dkms-hook deb trigger");
        contenders.extend(programs(&format!("dkms-hook --kernel {full}")).into_iter().map(|mut typed| {
            typed.name = if typed.name == "ours" { "ours, typed" } else { "before, typed" };
            typed
        }));
        contenders.push(Contender::new(
            "Debian's dkms autoinstall",
            &format!("/usr/sbin/dkms autoinstall -k {full}"),
        ));
        self.table.compare("idle", "Nothing to do, ten packages, one kernel of two", &contenders, 15);
        let mut contenders = programs("dkms status");
        contenders.push(Contender::new("Debian's dkms", "/usr/sbin/dkms status"));
        self.table.compare("status", "dkms status, ten packages, two kernels", &contenders, 5);
    }
}

/// The middle of these times, for other modules of this bench.
fn middle(times: impl Iterator<Item = Duration>) -> Duration {
    timing::median(times)
}
