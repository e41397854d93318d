//! From words to an [`Invocation`]: one pass, left to right.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::args::{Action, Invocation, PathWord, Remark};
use crate::cli::root;
use crate::model::error::{Error, Kind};

/// How a word is looked up; tests answer without a disk.
pub trait Look {
    /// Whether `path` is a regular file.
    fn is_file(&self, path: &Path) -> bool;
    /// Whether `path` is a directory.
    fn is_dir(&self, path: &Path) -> bool;
    /// A path that was typed, as this process opens it.
    fn as_opened(&self, typed: &Path) -> PathBuf;
}

/// The file system, seen from the current directory of whoever typed the words.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Look for Disk {
    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }
    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }
    fn as_opened(&self, typed: &Path) -> PathBuf {
        root::as_opened(typed)
    }
}

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// `--help`.
    Help {
        /// `-q` came before it.
        quiet: bool,
    },
    /// `--version`.
    Version {
        /// `-q` came before it.
        quiet: bool,
    },
    /// An action.
    Run(Box<Invocation>),
}

/// A command line that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misuse {
    /// Why, with the exit status.
    pub error: Error,
    /// Whether the help text would help.
    pub usage: bool,
    /// `-q` came before it.
    pub quiet: bool,
    /// What was odd before it.
    pub remarks: Vec<Remark>,
}

/// An option with a value.
#[derive(Debug, Clone, Copy)]
enum Value {
    Module,
    Version,
    Kernel,
    Template,
    Conf,
    DkmsTree,
    SourceTree,
    InstallTree,
    KernelConfig,
    Archive,
    Arch,
    KernelSourceDir,
    Directive,
    Jobs,
}

/// Long options with a value: any word that begins so is taken for it. `--archive` comes before
/// `--arch`, which it begins with.
const LONG: [(&str, Value); 11] = [
    ("--module", Value::Module),
    ("--kernelver", Value::Kernel),
    ("--templatekernel", Value::Template),
    ("--dkmstree", Value::DkmsTree),
    ("--sourcetree", Value::SourceTree),
    ("--installtree", Value::InstallTree),
    ("--config", Value::KernelConfig),
    ("--archive", Value::Archive),
    ("--arch", Value::Arch),
    ("--kernelsourcedir", Value::KernelSourceDir),
    ("--directive", Value::Directive),
];

/// Short options with a value, which is always the next word.
const SHORT: [(&str, Value); 6] = [
    ("-m", Value::Module),
    ("-v", Value::Version),
    ("-k", Value::Kernel),
    ("-a", Value::Arch),
    ("-c", Value::Conf),
    ("-j", Value::Jobs),
];

/// Options of former versions that are accepted and do nothing.
const DEPRECATED: [&str; 3] = ["--no-initrd", "--no-clean-kernel", "--no-prepare-kernel"];

/// Understands what follows the program's name.
///
/// # Errors
/// Whatever does not follow the rules, with the exit status that DKMS gives it. Where DKMS complains
/// and then exits 0 (no action, unknown action) the status is 2.
pub fn parse(words: impl IntoIterator<Item = OsString>, disk: &dyn Look) -> Result<Parsed, Misuse> {
    let mut got = Invocation::default();
    match read_words(words, disk, &mut got) {
        Ok(Some(early)) => return Ok(early),
        Ok(None) => {}
        Err((error, usage)) => return Err(misuse(got, error, usage)),
    }
    got.settle_words();
    if let Err(error) = got.check() {
        return Err(misuse(got, error, false));
    }
    if got.action.is_none() {
        // What an action would have made of the words is not known: the error says it all.
        got.remarks.retain(|remark| matches!(remark, Remark::Deprecated(_)));
        let typed = got.module.as_deref().map(|m| format!("{m:?} is not an action"));
        let error = Error::new(Kind::Misuse(2), typed.unwrap_or_else(|| "no action was given".into()));
        return Err(misuse(got, error, true));
    }
    Ok(Parsed::Run(Box::new(got)))
}

fn misuse(got: Invocation, error: Error, usage: bool) -> Misuse {
    Misuse { error, usage, quiet: got.quiet, remarks: got.remarks }
}

fn read_words(
    words: impl IntoIterator<Item = OsString>,
    disk: &dyn Look,
    got: &mut Invocation,
) -> Result<Option<Parsed>, (Error, bool)> {
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if !text.starts_with('-') {
            positional(got, &word, &text, disk).map_err(|error| (error, false))?;
            continue;
        }
        if let Some((option, attached)) = value_option(&text, &word) {
            let value = attached.unwrap_or_else(|| words.next().unwrap_or_default());
            set(got, option, &first_line(&value), disk).map_err(|error| (error, false))?;
            continue;
        }
        match &*text {
            "-h" | "--help" => return Ok(Some(Parsed::Help { quiet: got.quiet })),
            "-V" | "--version" => return Ok(Some(Parsed::Version { quiet: got.quiet })),
            other => {
                if !flag(got, other) {
                    return Err((Error::new(Kind::Misuse(2), format!("unknown option {other}")), true));
                }
            }
        }
    }
    Ok(None)
}

/// The option that `text` is, with the value after its first `=` if it has one.
fn value_option(text: &str, word: &OsStr) -> Option<(Value, Option<OsString>)> {
    if let Some((_, option)) = SHORT.iter().find(|(name, _)| *name == text) {
        return Some((*option, None));
    }
    let (_, option) = LONG.iter().find(|(name, _)| text.starts_with(name))?;
    let bytes = word.as_bytes();
    let attached =
        bytes.iter().position(|&b| b == b'=').map(|at| OsString::from_vec(bytes[at + 1..].to_vec()));
    Some((*option, attached))
}

/// The first line of a value, without blanks around it: all that has ever been read of one.
fn first_line(value: &OsStr) -> OsString {
    let line = value.as_bytes().split(|&b| b == b'\n').next().unwrap_or_default();
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = line.iter().position(|b| !blank(b)).unwrap_or(line.len());
    let end = line.iter().rposition(|b| !blank(b)).map_or(start, |last| last + 1);
    OsString::from_vec(line[start..end].to_vec())
}

fn set(got: &mut Invocation, option: Value, value: &OsStr, disk: &dyn Look) -> Result<(), Error> {
    let text = value.to_string_lossy();
    let filled = || (!text.is_empty()).then(|| text.to_string());
    // A tree is one of the root that is worked on, whoever names it.
    let tree = || (!value.is_empty()).then(|| PathBuf::from(value));
    let path = || (!value.is_empty()).then(|| disk.as_opened(Path::new(value)));
    match option {
        Value::Module => {
            got.useless_path = None;
            got.set_module(&text);
        }
        Value::Version => {
            let version = text.trim_end_matches('/');
            got.version = (!version.is_empty()).then(|| version.to_owned());
        }
        Value::Kernel => got.add_kernel(&text),
        Value::Arch => got.arches.push(text.into_owned()),
        Value::Template => got.template = filled(),
        Value::Conf => got.options.conf = path(),
        Value::DkmsTree => got.settings.dkms_tree = tree(),
        Value::SourceTree => got.settings.source_tree = tree(),
        Value::InstallTree => got.settings.install_tree = tree(),
        Value::KernelConfig => got.options.kernel_config = path(),
        Value::Archive => got.archive_option = path(),
        Value::KernelSourceDir => got.options.kernel_source_dir = path(),
        Value::Directive => match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                got.options.directives.push((name.to_owned(), value.to_owned()));
            }
            _ => {
                return Err(Error::new(Kind::Misuse(2), format!("--directive {text:?} has no value"))
                    .hint("write it as --directive=NAME=value"));
            }
        },
        Value::Jobs if text.is_empty() => got.settings.jobs = None,
        Value::Jobs => {
            let jobs = text.parse().map_err(|_| {
                Error::new(Kind::Misuse(2), format!("-j needs a number of jobs, not {text:?}"))
            })?;
            got.settings.jobs = Some(jobs);
        }
    }
    Ok(())
}

/// Sets what an option without value says; false when there is no such option.
fn flag(got: &mut Invocation, word: &str) -> bool {
    let options = &mut got.options;
    match word {
        "-q" | "--quiet" => got.quiet = true,
        "--all" => got.all = true,
        "--force" => options.force = true,
        "--force-version-override" => options.force_version_override = true,
        "--binaries-only" => got.binaries_only = true,
        "--source-only" => got.source_only = true,
        "--symlink-modules" => got.settings.symlink_modules = true,
        "--no-depmod" => options.no_depmod = true,
        "--modprobe-on-install" => got.settings.modprobe_on_install = true,
        "--rpm_safe_upgrade" => options.rpm_safe_upgrade = true,
        "--verbose" => got.settings.verbose = true,
        "--debug" => options.debug = true,
        other => {
            let Some(known) = DEPRECATED.iter().find(|name| **name == other) else { return false };
            remark(got, Remark::Deprecated(known));
        }
    }
    true
}

/// A word that is no option: an action, a path that exists, a module; in this order.
fn positional(got: &mut Invocation, word: &OsStr, text: &str, disk: &dyn Look) -> Result<(), Error> {
    if let Some(action) = Action::from_word(text) {
        if let Some(first) = got.action {
            return Err(Error::new(
                Kind::Misuse(4),
                format!("two actions were given: {} and {}", first.word(), action.word()),
            )
            .hint("call dkms once for each"));
        }
        got.action = Some(action);
        return Ok(());
    }
    let path = &*disk.as_opened(Path::new(word));
    let named = |path: PathBuf| Some(PathWord { path, word: word.to_owned() });
    if disk.is_file(path) {
        if word.as_bytes().ends_with(b"dkms.conf") {
            let dir = path.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new("."));
            got.source = named(dir.to_owned());
        } else {
            got.archive = named(path.to_owned());
        }
    } else if disk.is_dir(path) && disk.is_file(&path.join("dkms.conf")) {
        got.source = named(path.to_owned());
    } else if got.module.is_none() {
        if Path::new(word).is_absolute()
            || text == "."
            || text == ".."
            || text.starts_with("./")
            || text.starts_with("../")
        {
            got.useless_path = Some(path.to_owned());
        }
        got.set_module(text);
    } else {
        remark(got, Remark::Unused(text.to_owned()));
    }
    Ok(())
}

fn remark(got: &mut Invocation, remark: Remark) {
    // After -q nothing is shown, before it everything is.
    if !got.quiet {
        got.remarks.push(remark);
    }
}
