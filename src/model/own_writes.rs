//! What a package's own commands wrote into the files that its builds are made from.
//!
//! The scripts around an installation run in the source directory, and many packages compile a helper there, or
//! write a log, a stamp, a header. That is no change of the source: nobody edited it.

use std::collections::BTreeSet;

/// Of one module version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnWrites {
    /// In its source.
    pub source: Tree,
    /// In `/etc/dkms/NAME`: a script there runs in that directory.
    pub overrides: Tree,
}

/// In one directory tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// What the last of those commands left.
    pub left: Option<Left>,
    /// Files that only those commands write, as far as anybody has seen.
    pub files: BTreeSet<String>,
    /// Files that changed during a build, when somebody else may have edited them. If they change during the
    /// next one, too, the build writes them.
    pub doubtful: BTreeSet<String>,
}

/// A tree as a package's own commands left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Digest of its content.
    pub content: String,
    /// The digest that it counts as: that of the tree before the first of them ran.
    pub counts_as: String,
}

impl Tree {
    /// The digest of a tree with this content, as builds are compared by it.
    pub fn identity(&self, content: String) -> String {
        match &self.left {
            Some(left) if left.content == content => left.counts_as.clone(),
            _ => content,
        }
    }
}
