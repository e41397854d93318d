//! Every dkms.conf that Debian trixie ships: our own reader and bash must give the same values.
//!
//! The files come from `tests/setup/conf-corpus.sh`. Without them nothing is tested, and this says
//! so: the last line counts what was skipped, and DKMS_HOOK_REQUIRE_LAB=1 makes it a failure.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dkms_hook::conf::evaluation::{Question, open, with_bash, with_own_reader};
use dkms_hook::conf::model::Context;
use dkms_hook::conf::{DKMS_CONF, Strictness, USUAL_LIMIT, load, variables};
use dkms_hook::fs::root::Root;
use dkms_hook::model::ids::{Arch, KernelRelease, ModuleId};

/// The packages whose conf runs code. All others are read without a shell.
const NEEDS_BASH: &[&str] = &[
    "digimend-dkms",
    "lttng-modules-dkms",
    "nvidia-fs-dkms",
    "openafs-modules-dkms",
    "sl-modem-dkms",
    "v4l2loopback-dkms",
    "zfs-dkms",
];

fn main() -> ExitCode {
    let dir = corpus_dir();
    let confs = confs(&dir);
    if confs.is_empty() {
        println!("SKIPPED: no dkms.conf in {}; run tests/setup/conf-corpus.sh", dir.display());
        let required = std::env::var_os("DKMS_HOOK_REQUIRE_LAB").is_some_and(|v| v == "1");
        println!("0 passed, {} failed, {} skipped", u8::from(required), u8::from(!required));
        return if required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let work = tempfile::tempdir().expect("a temporary directory");
    let (mut passed, mut failed) = (0, 0);
    for (package, conf) in &confs {
        match check(package, conf, work.path()) {
            Ok(reader) => {
                passed += 1;
                println!("{package}: {reader}");
            }
            Err(why) => {
                failed += 1;
                println!("{package}: FAILED: {why}");
            }
        }
    }
    println!("{passed} passed, {failed} failed, 0 skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn corpus_dir() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache =
        || Some(var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")))?.join("dkms-hook/lab"));
    var("DKMS_HOOK_LAB_CACHE").or_else(cache).unwrap_or_default().join("conf-corpus")
}

/// Package names and their dkms.conf, in order.
fn confs(dir: &Path) -> Vec<(String, PathBuf)> {
    let mut found: Vec<_> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path().join("dkms.conf")))
        .filter(|(_, conf)| conf.is_file())
        .collect();
    found.sort();
    found
}

/// Compares both readers for two kernels; says who reads the file.
fn check(package: &str, conf: &Path, work: &Path) -> Result<String, String> {
    let root = Root::host();
    let files = open(&root, &[conf]).map_err(|e| e.to_string())?;
    let mut reader = String::new();
    for (kernel, arch, options) in [
        ("6.12.107+deb13-amd64", "x86_64", "CONFIG_USB_HID=m\nCONFIG_MODULES=y\nCONFIG_VIDEO_V4L2=m\n"),
        ("7.2.1-cloud-arm64", "aarch64", "CONFIG_MODULES=y\nCONFIG_PREEMPT_RT=y\n"),
    ] {
        let ctx = context(package, kernel, arch, options, work);
        let question =
            Question { exported: DKMS_CONF, given: variables(&ctx), limit: ctx.limit, foreign: false };
        let (bash, _) = with_bash(&root, &question, &files).map_err(|e| e.to_string())?;
        match with_own_reader(&question, &files) {
            Ok(own) if own == bash => reader = "own reader".to_owned(),
            Ok(own) => return Err(format!("for {kernel} we read\n{own:#?}\nand bash reads\n{bash:#?}")),
            Err(needs) if NEEDS_BASH.contains(&package) => {
                reader = format!("bash (line {}: {})", needs.line, needs.why);
            }
            Err(needs) => return Err(format!("line {} needs bash: {}", needs.line, needs.why)),
        }
        let conf = load(&root, conf, &[], &ctx, Strictness::Build).map_err(|e| e.to_string())?;
        if conf.records.is_empty() || conf.make.is_empty() {
            return Err(format!("for {kernel} it builds nothing: {conf:#?}"));
        }
    }
    Ok(reader)
}

/// A kernel with just enough headers for the conf files that look into them.
fn context(package: &str, kernel: &str, arch: &str, options: &str, work: &Path) -> Context {
    let headers = work.join(kernel).join("build");
    std::fs::create_dir_all(headers.join("include/config")).expect("a directory");
    for file in [".config", "include/config/auto.conf"] {
        std::fs::write(headers.join(file), options).expect("a file");
    }
    Context {
        kernel: Some(KernelRelease::new(kernel).expect("a kernel release")),
        arch: Arch::new(arch).expect("an architecture"),
        kernel_config: headers.join("include/config/auto.conf"),
        kernel_source_dir: headers,
        dkms_tree: "/var/lib/dkms".into(),
        source_tree: "/usr/src".into(),
        install_tree: "/lib/modules".into(),
        module: ModuleId::new(package, "1.0").ok(),
        parallel_jobs: 4,
        directives: Vec::new(),
        limit: USUAL_LIMIT,
        unconfined: false,
    }
}
