//! What was typed after `dkms`, once it is understood.
//!
//! The rules are DKMS's own and older than any parser library: options and words in any order, long
//! options recognised by how they begin, short options only with a separate value, `m/v` and `k/a`
//! pairs, and words told apart by looking at the disk. clap refuses or changes most of that, so this
//! face has a parser of its own ([`super::parse`]); `dkms-hook` uses clap.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cli::engine::Options;
use crate::model::error::{Error, Kind};
use crate::settings::Given;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the actions in dkms(8)")]
pub enum Action {
    Add,
    Remove,
    Build,
    Unbuild,
    Install,
    Uninstall,
    Match,
    Autoinstall,
    Mktarball,
    Ldtarball,
    Status,
    GenerateMok,
    KernelPreinst,
    KernelPostinst,
    KernelPrerm,
}

impl Action {
    /// Every action with its word, in the order of the help text.
    pub const ALL: [(&'static str, Action); 15] = [
        ("add", Self::Add),
        ("remove", Self::Remove),
        ("build", Self::Build),
        ("unbuild", Self::Unbuild),
        ("install", Self::Install),
        ("uninstall", Self::Uninstall),
        ("match", Self::Match),
        ("autoinstall", Self::Autoinstall),
        ("mktarball", Self::Mktarball),
        ("ldtarball", Self::Ldtarball),
        ("status", Self::Status),
        ("generate_mok", Self::GenerateMok),
        ("kernel_preinst", Self::KernelPreinst),
        ("kernel_postinst", Self::KernelPostinst),
        ("kernel_prerm", Self::KernelPrerm),
    ];

    /// The action of that name; there are no abbreviations.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, action)| *action)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }

    /// Whether a path means something to it. For the others a word is a module, even when a file of
    /// that name happens to lie in the current directory.
    fn takes_path(self) -> bool {
        matches!(self, Self::Add | Self::Build | Self::Install | Self::Mktarball | Self::Ldtarball)
    }
}

/// A word that turned out to be a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathWord {
    /// The directory with the dkms.conf, or the archive.
    pub path: PathBuf,
    /// As it was typed.
    pub word: OsString,
}

/// A command line that makes sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// What to do; never `None` in what the parser returns.
    pub action: Option<Action>,
    /// The directory of a dkms.conf.
    pub source: Option<PathWord>,
    /// A file given as a word.
    pub archive: Option<PathWord>,
    /// A word that is meant as a path, and leads to nothing that could be used.
    pub useless_path: Option<PathBuf>,
    /// `--archive`.
    pub archive_option: Option<PathBuf>,
    /// Module name, or a pattern for `status`.
    pub module: Option<String>,
    /// Module version, likewise.
    pub version: Option<String>,
    /// `-k`, in order; none of them empty.
    pub kernels: Vec<String>,
    /// `-a` and the second parts of `-k k/a`: none, one for all kernels, or one for each.
    pub arches: Vec<String>,
    /// `--all`.
    pub all: bool,
    /// `--templatekernel`.
    pub template: Option<String>,
    /// `--binaries-only`.
    pub binaries_only: bool,
    /// `--source-only`.
    pub source_only: bool,
    /// `-q`: not a word on either stream.
    pub quiet: bool,
    /// Settings: `--dkmstree` and others.
    pub settings: Given,
    /// Everything that the engine wants to know.
    pub options: Options,
    /// Deprecated options, and words that mean nothing: to be told, then forgotten.
    pub remarks: Vec<Remark>,
}

/// Something odd in a command line that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// An option without effect.
    Deprecated(&'static str),
    /// A word that nothing can be made of.
    Unused(String),
}

impl Invocation {
    /// The checks that concern several options at once, in the order that decides which exit status a
    /// doubly wrong command line gets.
    pub(super) fn check(&self) -> Result<(), Error> {
        let fail = |status, text: &str| Err(Error::new(Kind::Misuse(status), text));
        if self.binaries_only && self.source_only {
            return fail(8, "--binaries-only and --source-only exclude each other");
        }
        if self.arches.len() > 1 && self.arches.len() != self.kernels.len() {
            return Err(Error::new(
                Kind::Misuse(1),
                format!("{} architectures for {} kernels", self.arches.len(), self.kernels.len()),
            )
            .hint("give one -a for all kernels, or one for each -k"));
        }
        if self.all && !self.kernels.is_empty() {
            return fail(2, "-k and --all exclude each other");
        }
        if self.all && !self.arches.is_empty() {
            return fail(3, "-a and --all exclude each other");
        }
        use Action::{Add, Autoinstall, Build, Install, KernelPostinst, KernelPreinst, KernelPrerm, Match};
        if let Some(action @ (KernelPreinst | KernelPostinst | KernelPrerm)) = self.action
            && !self.all
            && self.kernels.len() != 1
        {
            let text = format!("{} needs exactly one kernel", action.word());
            return Err(Error::new(Kind::Misuse(4), text).hint("name it with -k"));
        }
        if self.kernels.iter().chain(&self.arches).any(String::is_empty) {
            return fail(16, "an empty kernel or architecture was given");
        }
        match self.action {
            Some(action @ (Autoinstall | Match)) if self.kernels.len() > 1 => {
                Err(Error::new(Kind::Misuse(4), format!("{} works on one kernel only", action.word()))
                    .hint("call it once for each -k"))
            }
            Some(
                action @ (Add | Build | Install | Autoinstall | Match | KernelPreinst | KernelPostinst
                | KernelPrerm),
            ) if self.all => fail(5, &format!("{} has no option --all", action.word())),
            _ => Ok(()),
        }
    }

    /// Gives a word that was taken for a path back to an action that wants a module.
    pub(super) fn settle_words(&mut self) {
        if self.module.is_some() || self.action.is_none_or(Action::takes_path) {
            return;
        }
        for path in [self.source.take(), self.archive.take()].into_iter().flatten() {
            let Some(word) = path.word.to_str() else { continue };
            let meant_as_path = word.starts_with(['/', '.']) || word.ends_with("dkms.conf");
            if !meant_as_path && self.module.is_none() {
                self.set_module(word);
            }
        }
    }

    /// Takes `m` or `m/v`; everything after the first slash is the version. One at the end, as a shell that
    /// completes the name of a directory adds it, is no part of either.
    pub(super) fn set_module(&mut self, text: &str) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        match text.split_once('/') {
            Some((module, version)) => {
                self.module = some(module);
                self.version = some(version.trim_end_matches('/'));
            }
            None => self.module = some(text),
        }
    }

    /// Takes `k` or `k/a`.
    pub(super) fn add_kernel(&mut self, text: &str) {
        match text.split_once('/') {
            Some((kernel, arch)) => {
                self.kernels.push(kernel.to_owned());
                self.arches.push(arch.to_owned());
            }
            None => self.kernels.push(text.to_owned()),
        }
    }
}
