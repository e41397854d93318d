//! Landlock: what a program may open, kept to by the kernel whatever is mounted.
//!
//! It needs no right, and works in a chroot and in most containers. Its rules only allow, and a rule for a directory
//! holds for all below. Where a mount hides what is nobody's business, everything may be read. Where none can, what is
//! allowed is everything but that: of a directory with something hidden in it, each entry by itself. Such a directory
//! itself cannot be listed then (`ls /`), and what appears in it later cannot be opened.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope, path_beneath_rules,
};

use super::mounts;

/// The newest rights that this program knows; the kernel's own are a part of them.
const NEWEST: ABI = ABI::V10;

/// Devices that programs write to.
const DEVICES: [&str; 7] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx"];

/// What is allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed<'a> {
    /// Mounts hide what is hidden; `readable` and `secrets` count only without them.
    pub by_mounts: bool,
    pub readable: &'a [PathBuf],
    pub secrets: &'a [PathBuf],
    /// Everything below them.
    pub writable: &'a [PathBuf],
    /// Files that may be written to, and not replaced.
    pub pipes: &'a [PathBuf],
}

/// The rules, for the child to be bound to. What is not there is left out.
///
/// # Errors
/// When the kernel refuses them.
pub(super) fn make(allowed: Allowed<'_>) -> Result<Option<OwnedFd>, RulesetError> {
    let all = AccessFs::from_all(NEWEST);
    let read = AccessFs::from_read(NEWEST);
    let files = AccessFs::WriteFile | AccessFs::ReadFile | AccessFs::IoctlDev | AccessFs::Truncate;
    let (dirs, mut pipes) = (readable(allowed), allowed.pipes.to_vec());
    pipes.extend(DEVICES.iter().map(PathBuf::from));
    let mut writable = allowed.writable.to_vec();
    if allowed.by_mounts {
        writable.extend(mounts::temporary());
    }
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(dirs, read))?
        .add_rules(path_beneath_rules(writable, all))?
        .add_rules(path_beneath_rules(pipes, files))?;
    Ok(rules.into())
}

fn readable(allowed: Allowed<'_>) -> Vec<PathBuf> {
    if allowed.by_mounts {
        return vec![PathBuf::from("/")];
    }
    let mut hidden: BTreeSet<PathBuf> = mounts::hidden().into_iter().chain(mounts::temporary()).collect();
    hidden.extend(allowed.secrets.iter().filter_map(|secret| secret.canonicalize().ok()));
    let mut dirs = Vec::new();
    all_but(Path::new("/"), &hidden, &mut dirs);
    for path in allowed.readable.iter().filter_map(|path| path.canonicalize().ok()) {
        // A key may lie in what has to be read.
        all_but(&path, &hidden, &mut dirs);
    }
    dirs
}

/// A directory without what is hidden in it. What is hidden itself may still be named: it has to be read then.
fn all_but(dir: &Path, hidden: &BTreeSet<PathBuf>, out: &mut Vec<PathBuf>) {
    if !hidden.iter().any(|path| path != dir && path.starts_with(dir)) {
        out.push(dir.to_path_buf());
        return;
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        // Whatever a link leads to has a rule or none.
        if !hidden.contains(&path) && !entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            all_but(&path, hidden, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_left_out_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["etc", "var/lib/dkms/m", "var/log", "root/x"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("var/lib/dkms/mok.key"), "").unwrap();
        fs::write(at("var/lib/dkms/mok.pub"), "").unwrap();
        std::os::unix::fs::symlink("var/lib/dkms/mok.key", at("key")).unwrap();
        let hidden = [at("root"), at("var/lib/dkms/mok.key")].into();
        let mut dirs = Vec::new();
        all_but(dir.path(), &hidden, &mut dirs);
        dirs.sort();
        assert_eq!(dirs, ["etc", "var/lib/dkms/m", "var/lib/dkms/mok.pub", "var/log"].map(at));
        dirs.clear();
        all_but(&at("root"), &hidden, &mut dirs);
        assert_eq!(dirs, [at("root")], "it was asked for");
    }
}
