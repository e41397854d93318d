//! The questions, and what our reader says.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use dkms_hook::conf::evaluation::{Question, Source, Values, evaluate, with_own_reader};
use dkms_hook::conf::model::{Context, Reader};
use dkms_hook::conf::{DKMS_CONF, FRAMEWORK_CONF, Strictness, USUAL_LIMIT, load, variables};
use dkms_hook::fs::root::Root;
use dkms_hook::model::ids::{Arch, KernelRelease};

use super::bash::{self, Verdict};

/// What is tested is at work.
static READING: AtomicBool = AtomicBool::new(false);

/// One conf, or a conf and an override.
pub type Case = Vec<Vec<u8>>;

/// Two kinds of conf, with usual and with odd variables.
pub fn questions() -> Vec<Question<'static>> {
    let given = |values: &[(&str, Option<&str>)]| {
        values.iter().map(|(n, v)| ((*n).to_owned(), v.map(|v| v.as_bytes().to_vec()))).collect()
    };
    let odd = given(&[
        ("kernelver", Some("6.12 *~[a]?")),
        ("arch", Some("")),
        ("kernel_source_dir", Some("/a  b\\c'd\\\\e")),
        ("dkms_tree", Some("/${arch-x}\\$arch")),
        ("source_tree", Some("~/x:~ #y;z")),
        ("install_tree", Some("\\\"\r")),
        ("module", Some("(m)")),
        ("parallel_jobs", None),
    ]);
    vec![
        Question { exported: DKMS_CONF, given: variables(&context()), limit: USUAL_LIMIT, foreign: false },
        Question {
            exported: FRAMEWORK_CONF,
            given: given(&[("dkms_tree", Some("/var/lib/d  kms")), ("arch", None)]),
            limit: USUAL_LIMIT,
            foreign: false,
        },
        Question { exported: DKMS_CONF, given: odd, limit: USUAL_LIMIT, foreign: false },
    ]
}

/// What a dkms.conf may refer to.
fn context() -> Context {
    Context {
        kernel: Some(KernelRelease::new("6.12.107+deb13-amd64").expect("a kernel release")),
        arch: Arch::new("x86_64").expect("an architecture"),
        kernel_source_dir: "/lib/modules/6.12.107+deb13-amd64/build".into(),
        kernel_config: "/boot/config-6.12.107+deb13-amd64".into(),
        dkms_tree: "/var/lib/dkms".into(),
        source_tree: "/usr/src".into(),
        install_tree: "/lib/modules".into(),
        module: None,
        parallel_jobs: 4,
        directives: Vec::new(),
        limit: USUAL_LIMIT,
        unconfined: false,
    }
}

/// What our reader says, or the line that it is not sure about; `Err` when it panics.
pub fn own(question: &Question<'_>, case: &[Vec<u8>]) -> Result<Result<Values, usize>, ()> {
    let files = sources(case);
    quietly(|| with_own_reader(question, &files)).map(|said| said.map_err(|needs| needs.line))
}

fn sources(case: &[Vec<u8>]) -> Vec<Source> {
    let source =
        |(n, text): (usize, &Vec<u8>)| Source { path: format!("{n}.conf").into(), text: text.clone() };
    case.iter().enumerate().map(source).collect()
}

/// Runs what may panic.
fn quietly<T>(what: impl FnOnce() -> T) -> Result<T, ()> {
    READING.store(true, Ordering::Relaxed);
    let result = catch_unwind(AssertUnwindSafe(what));
    READING.store(false, Ordering::Relaxed);
    result.map_err(drop)
}

/// A panic of what is tested is a result, not something for the screen.
pub fn hush() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !READING.load(Ordering::Relaxed) {
            loud(info);
        }
    }));
}

/// Why a verdict is not what our reader said.
pub fn difference(own: &Values, bash: &Verdict) -> Option<String> {
    // A line with nothing but a carriage return: no command, no effect.
    let harmless = |line: &String| line.ends_with("$'\\r': command not found");
    let complaints: Vec<_> = bash.complaints.iter().filter(|line| !harmless(line)).collect();
    match &bash.values {
        Ok(values) if values != own => Some(format!("we read {own:?}, bash {values:?}")),
        Ok(_) if !complaints.is_empty() => Some(format!("bash complains: {complaints:?}")),
        Ok(_) => None,
        Err(why) => Some(format!("bash: {why}; {complaints:?}")),
    }
}

/// True when the readers differ, or ours panics.
pub fn differs(question: &Question<'_>, cases: &[Case]) -> Vec<bool> {
    let own: Vec<_> = cases.iter().map(|case| own(question, case)).collect();
    let verdicts = bash::ask(question, cases);
    own.iter()
        .zip(&verdicts)
        .map(|(own, bash)| match own {
            Err(()) => true,
            Ok(Ok(values)) => difference(values, bash).is_some(),
            Ok(Err(_)) => false,
        })
        .collect()
}

/// Reads the files of a conf that our reader is sure about once more, with what the values mean.
/// False when something panics: whether the values are good is for other tests.
pub fn loads(files: &[PathBuf]) -> bool {
    let (file, overrides) = files.split_first().expect("a case has a file");
    quietly(|| drop(load(&Root::host(), file, overrides, &context(), Strictness::Build))).is_ok()
}

/// The whole way of a conf that our reader is not sure about: bash is asked, whatever it says.
pub fn is_left_to_bash(question: &Question<'_>, case: &[Vec<u8>]) -> Result<(), String> {
    let dir = Path::new("/tmp/unsure");
    std::fs::create_dir_all(dir).map_err(|e| e.to_string())?;
    let mut files = sources(case);
    for file in &mut files {
        file.path = dir.join(&file.path);
        std::fs::write(&file.path, &file.text).map_err(|e| e.to_string())?;
    }
    match quietly(|| evaluate(&Root::host(), question, &files)) {
        Ok(Ok(answer)) if answer.reader == Reader::Own => Err("our reader changed its mind".to_owned()),
        // A syntax error, an exit, text that is not UTF-8: an error that says so.
        Ok(Ok(_) | Err(_)) => Ok(()),
        Err(()) => Err("reading it with bash panics".to_owned()),
    }
}
