//! What the program brings to the disk, and when: a library that is loaded into it notes each call.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::program::{Answer, Face, finish};
use super::toy_kernel::FakeRoot;

const SHIM: &str = include_str!("shim.c");

/// One call.
#[derive(Debug, Clone)]
pub struct Sync {
    /// `fsync`, `fdatasync` or `syncfs`.
    pub call: String,
    /// What it was called for, inside the root.
    pub path: PathBuf,
    /// What each watched file held then; `None` for one that was not there.
    pub held: Vec<Option<String>>,
}

/// Runs the program, and lists its calls; `watched` are files inside the root.
#[track_caller]
pub fn run(root: &FakeRoot, face: Face, args: &[&str], watched: &[&str]) -> (Answer, Vec<Sync>) {
    let log = root.path("/var/log/syncs");
    let _ = std::fs::remove_file(&log);
    let watched: Vec<String> = watched.iter().map(|file| root.path(file).display().to_string()).collect();
    let mut command = root.program(face);
    command.env("LD_PRELOAD", shim()).env("SYNC_LOG", &log).env("SYNC_WATCH", watched.join(":"));
    let answer = finish(command.args(args));
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let top = root.layout.root.dir().canonicalize().unwrap();
    let sync = |line: &str| {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default().to_owned();
        let (call, path) = (field(), PathBuf::from(field()));
        let path = path.strip_prefix(&top).map_or(path.clone(), |inside| Path::new("/").join(inside));
        let held = watched.iter().map(|_| Some(field()).filter(|text| text != "-")).collect();
        Sync { call, path, held }
    };
    (answer, text.lines().map(sync).collect())
}

/// Runs the program where nothing with this text in its name can be removed.
#[track_caller]
pub fn run_where_stubborn(root: &FakeRoot, face: Face, args: &[&str], name: &str) -> Answer {
    let mut command = root.program(face);
    finish(command.env("LD_PRELOAD", shim()).env("STUBBORN", name).args(args))
}

/// The library, made once.
fn shim() -> &'static Path {
    static MADE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (source, library) = (dir.path().join("shim.c"), dir.path().join("shim.so"));
        std::fs::write(&source, SHIM).unwrap();
        let mut compiler = Command::new("gcc");
        compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&library).arg(&source).arg("-ldl");
        assert!(compiler.status().unwrap().success());
        (dir, library)
    });
    library
}
