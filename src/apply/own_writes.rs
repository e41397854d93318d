//! Tells what a package's own commands write into its source apart from what somebody else changes there.
//!
//! They run under the lock, so what changes while one of them runs is taken for its work. Not every time: a
//! build takes minutes, and somebody may edit the source meanwhile. There only files that appear during it are
//! its own at once; one that was there before is, when it changes during two builds.

use std::path::{Path, PathBuf};

use crate::fs::census::{Census, Difference};
use crate::fs::look;
use crate::fs::stamp;
use crate::model::error::Result;
use crate::model::ids::ModuleId;
use crate::model::own_writes::{Left, OwnWrites, Tree};
use crate::tree::layout::Layout;
use crate::tree::state;

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// PRE_BUILD, MAKE and POST_BUILD.
    Build,
    /// One of the scripts around an installation.
    Script,
}

/// Watches the files of one module version while its own commands run.
#[derive(Debug)]
pub struct Watch<'a> {
    layout: &'a Layout,
    module: &'a ModuleId,
    known: OwnWrites,
    source: Watched,
    overrides: Watched,
}

/// One tree.
#[derive(Debug)]
struct Watched {
    dir: PathBuf,
    /// What it counts as; nothing where it could not be read.
    identity: Option<String>,
    /// As it was last seen.
    last: Census,
    /// What is known of it, with what was seen.
    tree: Tree,
    /// One of the commands changed something.
    written: bool,
    /// Somebody else changed something, or may have.
    edited: bool,
}

impl<'a> Watch<'a> {
    /// Begins. `source` is the source directory.
    pub fn begin(layout: &'a Layout, module: &'a ModuleId, source: &Path) -> Self {
        let known = state::known(state::own_writes(layout, module)).unwrap_or_default();
        let source = Watched::new(source.to_path_buf(), &known.source);
        let overrides = Watched::new(layout.etc().join(&module.name), &known.overrides);
        Self { layout, module, known, source, overrides }
    }

    /// Runs one of the package's own commands.
    pub fn during<T>(&mut self, command: Command, run: impl FnOnce() -> T) -> T {
        self.before();
        let result = run();
        self.after(command);
        result
    }

    /// Looks just before the package's own commands begin.
    pub fn before(&mut self) {
        self.source.before();
        self.overrides.before();
    }

    /// Looks when they have ended.
    pub fn after(&mut self, command: Command) {
        self.source.after(command);
        self.overrides.after(command);
    }

    /// Writes down what was seen. Without it, the next run builds the module again.
    pub fn settle(self) {
        let Self { layout, module, known, source, overrides } = self;
        let writes = OwnWrites { source: source.settle(), overrides: overrides.settle() };
        if writes != known
            && let Err(error) = state::save_own_writes(layout, module, &writes)
        {
            log::warn!("{error}");
        }
    }
}

impl Watched {
    fn new(dir: PathBuf, tree: &Tree) -> Self {
        // First, so that a change meanwhile is noticed.
        let last = Census::of(&dir);
        let identity = content(&dir).ok().map(|content| tree.identity(content));
        Self { dir, identity, last, tree: tree.clone(), written: false, edited: false }
    }

    fn before(&mut self) {
        let now = Census::of(&self.dir);
        self.edited |= now != self.last;
        self.last = now;
    }

    fn after(&mut self, command: Command) {
        let now = Census::of(&self.dir);
        for (file, difference) in now.since(&self.last) {
            self.written = true;
            let own = command == Command::Script
                || difference == Difference::New
                || self.tree.files.contains(file)
                || self.tree.doubtful.remove(file);
            if own {
                self.tree.files.insert(file.to_owned());
            } else {
                self.tree.doubtful.insert(file.to_owned());
                self.edited = true;
            }
        }
        self.last = now;
    }

    fn settle(mut self) -> Tree {
        if self.written
            && !self.edited
            && let (Some(counts_as), Ok(content)) = (self.identity, content(&self.dir))
            && Census::of(&self.dir) == self.last
        {
            self.tree.left = (content != counts_as).then_some(Left { content, counts_as });
        }
        self.tree
    }
}

/// Digest of a tree, as inputs of a build have it.
fn content(dir: &Path) -> Result<String> {
    match look::metadata(dir)? {
        Some(meta) if meta.is_dir() => stamp::content_tree(dir),
        _ => Ok(String::new()),
    }
}
