//! Modules that a kernel has already under the name of one of ours, and which of the two is to be used.

use std::cmp::Ordering;
use std::path::PathBuf;

use crate::model::ids::Cell;
use crate::model::version;

/// What tells one module file from another of the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// MODULE_VERSION; empty when it has none.
    pub version: String,
    /// The digest of its sources, where the kernel's build made one.
    pub srcversion: Option<String>,
    /// Digest of the file. Looked at only where there is neither of the others.
    pub content: String,
}

/// A module of the kernel's own, or of somebody else, that has the name of one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// The name, without `.ko`.
    pub module: String,
    /// Where it is, inside the root.
    pub path: PathBuf,
    /// What it says about itself.
    pub labels: Labels,
    /// Why it could not be read: then nobody knows which of the two is newer.
    pub unread: Option<String>,
    /// The build that it is of, where an earlier step of the same plan installs it: what it says about itself,
    /// and where it is, is known then.
    pub of: Option<Cell>,
}

impl Rival {
    /// Why this one is kept and a build with these labels not installed in its place: it is newer, or the
    /// same to the letter (dkms(8), `--force-version-override`).
    pub fn beats(&self, built: &Labels) -> Option<String> {
        let (shown, old, new) = (self.path.display(), &self.labels, built);
        if let Some(why) = &self.unread {
            return Some(format!("{shown} is kept, as versions cannot be compared: {why}"));
        }
        match version::compare(&old.version, &new.version) {
            Ordering::Greater => Some(format!(
                "{shown} has version {}, newer than {}; it is kept",
                old.version,
                if new.version.is_empty() { "none" } else { &new.version }
            )),
            Ordering::Equal if old.srcversion == new.srcversion => {
                let labelled = !old.version.is_empty() || old.srcversion.is_some();
                (labelled || old.content == new.content)
                    .then(|| format!("{shown} is already the same module; it is kept"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_newer_or_the_same_is_kept() {
        let labels = |version: &str, srcversion: Option<&str>, content: &str| Labels {
            version: version.into(),
            srcversion: srcversion.map(str::to_owned),
            content: content.into(),
        };
        let rows = [
            (labels("2.0", None, ""), labels("10.0", None, ""), false),
            (labels("10.0", None, ""), labels("2.0", None, ""), true),
            (labels("1", None, ""), labels("", None, ""), true),
            (labels("1", Some("A"), ""), labels("1", Some("A"), ""), true),
            (labels("1", Some("A"), ""), labels("1", Some("B"), ""), false),
            (labels("", Some("A"), ""), labels("", Some("A"), ""), true),
            (labels("", None, "a"), labels("", None, "a"), true),
            (labels("", None, "a"), labels("", None, "b"), false),
        ];
        for (old, new, kept) in rows {
            let rival = Rival {
                module: "m".into(),
                path: "/lib/modules/6.1/kernel/m.ko".into(),
                labels: old,
                unread: None,
                of: None,
            };
            assert_eq!(rival.beats(&new).is_some(), kept, "{rival:?} and {new:?}");
        }
    }
}
