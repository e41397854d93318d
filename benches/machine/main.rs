//! Whole programs on a whole machine: ours beside Debian's dkms, on the same tree with ten
//! installed modules and two kernels.
//!
//! Times depend on the machine and are never judged. What is judged, because it does not: that our
//! calls with nothing to do find nothing to do and start no process.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

#[path = "../support/timing.rs"]
mod timing;

#[path = "../support/run.rs"]
#[allow(dead_code, reason = "of the benches that share it, each needs a part")]
mod run;

use run::{Contender, Cost};
use timing::{median, text};

fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--inside") {
        return measure();
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!(
            "\n*** SKIPPED: whole programs beside dkms. It needs root, for a root directory of its own.\n"
        );
        return ExitCode::SUCCESS;
    }
    let enter = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/machine/enter");
    let this = std::env::current_exe().expect("a running program has a path");
    let status = Command::new(enter).arg(this).arg(env!("CARGO_BIN_EXE_dkms-hook")).status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        other => {
            eprintln!("benches/machine: {other:?}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> ExitCode {
    let kernels: Vec<String> =
        std::fs::read_to_string("/kernels").expect("setup wrote it").lines().map(str::to_owned).collect();
    let [old, new] = [&kernels[0], &kernels[1]];
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|n| n.parse().ok());
    let mut good = true;
    // The tree was made by dkms: the first run takes its builds over. Whatever happened, the second
    // run has nothing to do.
    for event in [
        "true",
        "touch /usr/src/*/dkms.conf /etc/dkms/framework.conf",
        "touch /lib/modules/*/build/Module.symvers",
        "rm /var/lib/dkms/*/*/*/*/.dkms-hook.json",
        "cp -r /usr/src/vpoll-* /usr/src/other-1; sed -i 's/^PACKAGE_NAME=.*/PACKAGE_NAME=other/;
            s/^PACKAGE_VERSION=.*/PACKAGE_VERSION=1/; /^AUTOINSTALL/d' /usr/src/other-1/dkms.conf;
            /opt/ours/dkms add other/1",
        "/opt/ours/dkms remove other/1 --all",
    ] {
        Contender::new("", "dkms-hook").after(event.to_owned()).run();
        good &= settled(event, new);
    }
    println!("\nTen installed modules, kernels {old} and {new}; {}.\n", processor());

    let autoinstall = format!("dkms autoinstall -k {new}");
    let both = ["sh", "-c", &format!("dkms autoinstall -k {old}; dkms autoinstall -k {new}")];
    let both = Contender { words: both.iter().map(ToString::to_string).collect(), ..Contender::new("", "") };
    let all = |name| Contender { name, ..both.clone() };
    let one = |name| Contender::new(name, &autoinstall);
    let pairs = [
        (
            Contender::new("dkms-hook --kernel K", &format!("dkms-hook --kernel {new}")),
            one("dkms autoinstall -k K"),
        ),
        (Contender::new("dkms-hook", "dkms-hook"), all("dkms autoinstall, for each kernel")),
        (
            Contender::new("header_postinst.d/dkms K (ours)", &format!("/opt/ours/header_postinst {new}")),
            Contender::new("the same of Debian's dkms", &format!("/etc/kernel/header_postinst.d/dkms {new}")),
        ),
        (
            Contender::new("dkms-hook deb trigger", "dkms-hook deb trigger"),
            all("(no such thing; autoinstall for each)"),
        ),
        (
            Contender::new("dkms status (ours)", "/opt/ours/dkms status"),
            Contender::new("dkms status", "dkms status"),
        ),
    ];
    println!("Nothing to do: medians of interleaved pairs");
    head();
    for (ours, theirs) in &pairs {
        let started = ours.processes();
        // The hook file is a shell script: the shell, and us.
        let expected = 1 + u32::from(ours.words[0].starts_with("/opt/ours/header"));
        if started != expected {
            eprintln!("{:?} started {started} processes, not {expected}", ours.words);
            good = false;
        }
        compare(&[ours.clone(), theirs.clone()], rounds.unwrap_or(25));
    }

    println!("Building one module package (lime-forensics): medians of interleaved rounds");
    head();
    compare(&builds(new), rounds.unwrap_or(5));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// True when calls of ours find nothing to do, and no reason to start a process.
fn settled(event: &str, kernel: &str) -> bool {
    let dry_run = format!("dkms-hook --dry-run --kernel {kernel}");
    let said = Contender::new("", &dry_run).output() + &Contender::new("", "dkms-hook --dry-run").output();
    let processes = Contender::new("", "dkms-hook").processes();
    let good = said.to_lowercase().matches("nothing to do").count() == 2 && processes == 1;
    if !good {
        eprintln!("after `{event}` and one run, the next starts {processes} processes, and plans:\n{said}");
    }
    good
}

/// The same module built three ways.
fn builds(kernel: &str) -> Vec<Contender> {
    let source = PathBuf::from("/usr/src");
    let module = std::fs::read_dir(&source)
        .expect("there are sources")
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .find(|name| name.starts_with("lime-forensics-"))
        .expect("setup installed it");
    let version = module.strip_prefix("lime-forensics-").expect("it starts so");
    let make = format!("make -C /lib/modules/{kernel}/build M=/tmp/bare modules");
    let build = |name, program: &str| {
        Contender::new(name, &format!("{program} build --force lime-forensics/{version} -k {kernel}"))
    };
    vec![
        build("dkms build (ours)", "/opt/ours/dkms"),
        build("dkms build", "dkms"),
        Contender::new("bare make", &make)
            .after(format!("rm -rf /tmp/bare; cp -r /usr/src/{module} /tmp/bare")),
    ]
}

fn head() {
    let heads = ["wall", "cpu", "processes", "wall to ours", "cpu to ours", "rounds"];
    println!(
        "{:<40} {:>9} {:>9} {:>10} {:>13} {:>13} {:>7}",
        "", heads[0], heads[1], heads[2], heads[3], heads[4], heads[5]
    );
}

/// Runs all in turn, each time in another order, for `rounds` rounds or some twenty seconds, but at
/// least three rounds; a row for each. Ratios are to the first.
fn compare(contenders: &[Contender], rounds: usize) {
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); contenders.len()];
    let begun = Instant::now();
    for round in 0..rounds {
        if round >= 3 && begun.elapsed() > Duration::from_secs(20) {
            break;
        }
        for turn in 0..contenders.len() {
            let which = (round + turn) % contenders.len();
            costs[which].push(contenders[which].run());
        }
    }
    for (contender, own) in contenders.iter().zip(&costs) {
        let to_first = |part: fn(&Cost) -> Duration| {
            median(own.iter().zip(&costs[0]).map(|(a, b)| part(a).as_secs_f64() / part(b).as_secs_f64()))
        };
        println!(
            "{:<40} {:>9} {:>9} {:>10} {:>12.2}x {:>12.2}x {:>7}",
            contender.name,
            text(median(own.iter().map(|c| c.wall))),
            text(median(own.iter().map(|c| c.cpu))),
            contender.processes(),
            to_first(|c| c.wall),
            to_first(|c| c.cpu),
            own.len()
        );
    }
    println!();
}

/// What the figures were taken on.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ")).map_or("", |m| m.1);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{count} × {model}, load {}", load.split(' ').next().unwrap_or("?"))
}
