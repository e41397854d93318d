//! Who beside root could change a tree of files.
//!
//! What root runs out of a directory is as trustworthy as everybody who can write there: whoever owns a file in it, or
//! a directory on the way to it, members of a group that may write, or everybody.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

use crate::fs::regular;
use crate::fs::root::Root;

/// Something that somebody beside root could change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loose {
    /// What it is, as this process opens it.
    pub path: PathBuf,
    /// Who could.
    pub whose: Whose,
}

/// Who could change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The user that owns it.
    User(u32),
    /// The group that may write to it.
    Group(u32),
    /// Everybody may write to it.
    Everybody,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::User(id) => match User::from_uid(Uid::from_raw(id)).ok().flatten() {
                Some(user) => write!(f, "user {} owns it", user.name),
                None => write!(f, "user {id} owns it"),
            },
            Self::Group(id) => match Group::from_gid(Gid::from_raw(id)).ok().flatten() {
                Some(group) => write!(f, "group {} may write to it", group.name),
                None => write!(f, "group {id} may write to it"),
            },
            Self::Everybody => f.write_str("everybody may write to it"),
        }
    }
}

/// The users whose files are root's.
#[derive(Debug, Clone)]
struct Owners(Vec<u32>);

impl Owners {
    /// Root, whoever owns the root itself (a container's, seen from outside), and, in a user namespace, whoever is not
    /// in it: they have more power than its root.
    fn of(root: &Root) -> Self {
        let mut owners = vec![0];
        owners.extend(std::fs::metadata(root.dir()).ok().map(|meta| meta.uid()));
        let read = |path: &str| regular::read_to_string(Path::new(path)).unwrap_or_default();
        let map = read("/proc/self/uid_map");
        let all = ["0", "0", "4294967295"];
        if !map.is_empty() && !map.split_whitespace().eq(all) {
            owners.extend(read("/proc/sys/kernel/overflowuid").trim().parse::<u32>());
        }
        Self(owners)
    }

    fn has(&self, meta: &Metadata) -> bool {
        self.0.contains(&meta.uid())
    }

    /// Who could change a file or directory itself.
    fn others(&self, meta: &Metadata) -> Option<Whose> {
        const GROUP: u32 = 0o020;
        const EVERYBODY: u32 = 0o002;
        if !self.has(meta) {
            return Some(Whose::User(meta.uid()));
        }
        if meta.mode() & EVERYBODY != 0 {
            return Some(Whose::Everybody);
        }
        (meta.mode() & GROUP != 0 && meta.gid() != 0).then_some(Whose::Group(meta.gid()))
    }

    /// Who could put something else in the place of what a directory holds. In one with the sticky bit nobody can who
    /// does not own it. That a group may, as `src` may in /usr/src on old systems, was decided for all that is there.
    fn others_by_way_of(&self, dir: &Metadata) -> Option<Whose> {
        const STICKY: u32 = 0o1000;
        match self.others(dir)? {
            Whose::Group(_) => None,
            Whose::Everybody if dir.mode() & STICKY != 0 => None,
            whose => Some(whose),
        }
    }
}

/// The first thing in a tree, or on the way to it, that somebody beside root could change. Of what links in it lead
/// to, only that itself and the way to it are looked at.
///
/// # Errors
/// When something cannot be looked at.
pub fn loose(root: &Root, tree: &Path) -> std::io::Result<Option<Loose>> {
    let owners = Owners::of(root);
    let tree = tree.canonicalize()?;
    if let Some(found) = on_the_way(&owners, root, &tree)? {
        return Ok(Some(found));
    }
    for entry in walkdir::WalkDir::new(&tree).sort_by_file_name() {
        let entry = entry?;
        let found = |whose| Some(Loose { path: entry.path().to_path_buf(), whose });
        if !entry.file_type().is_symlink() {
            match owners.others(&entry.metadata()?) {
                Some(whose) => return Ok(found(whose)),
                None => continue,
            }
        }
        // The mode of a link means nothing; its directory decides who may exchange it.
        let inside = root.inside(entry.path());
        let Ok(target) = root.resolve(inside) else { continue };
        if target.starts_with(&tree) {
            continue;
        }
        let way = on_the_way(&owners, root, &target)?;
        let meta = std::fs::metadata(&target)?;
        if let Some(loose) = way.or(owners.others(&meta).map(|whose| Loose { path: target, whose })) {
            return Ok(Some(loose));
        }
    }
    Ok(None)
}

/// The first directory above a path without links that lets somebody beside root exchange what is in it.
fn on_the_way(owners: &Owners, root: &Root, path: &Path) -> std::io::Result<Option<Loose>> {
    for dir in path.ancestors().skip(1).take_while(|dir| dir.starts_with(root.dir())) {
        if let Some(whose) = owners.others_by_way_of(&std::fs::metadata(dir)?) {
            return Ok(Some(Loose { path: dir.to_path_buf(), whose }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// A root with a source in it, whose files are those of whoever runs the tests.
    fn root() -> (tempfile::TempDir, Root, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path().canonicalize().unwrap());
        let tree = root.path("/usr/src/m-1");
        std::fs::create_dir_all(tree.join("sub")).unwrap();
        for name in ["dkms.conf", "sub/m.c"] {
            std::fs::write(tree.join(name), "").unwrap();
            std::fs::set_permissions(tree.join(name), Permissions::from_mode(0o644)).unwrap();
        }
        for dir in ["/usr", "/usr/src", "/usr/src/m-1", "/usr/src/m-1/sub"] {
            std::fs::set_permissions(root.path(dir), Permissions::from_mode(0o755)).unwrap();
        }
        (dir, root, tree)
    }

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_everybody_may_write_to_is_found() {
        let (_dir, root, tree) = root();
        assert_eq!(loose(&root, &tree).unwrap(), None);
        let everybody = |path: &Path| Some(Loose { path: path.to_path_buf(), whose: Whose::Everybody });
        for (name, right, wrong) in
            [("sub/m.c", 0o644, 0o646), ("sub", 0o755, 0o757), ("dkms.conf", 0o600, 0o602)]
        {
            mode(&tree.join(name), wrong);
            assert_eq!(loose(&root, &tree).unwrap(), everybody(&tree.join(name)), "{name}");
            mode(&tree.join(name), right);
        }
        mode(&root.path("/usr/src"), 0o777);
        assert_eq!(loose(&root, &tree).unwrap(), everybody(&root.path("/usr/src")));
        mode(&root.path("/usr/src"), 0o1777);
        assert_eq!(loose(&root, &tree).unwrap(), None, "nobody can rename the source there");
    }

    #[test]
    fn links_are_followed_to_what_they_lead_to() {
        let (_dir, root, tree) = root();
        std::fs::create_dir_all(root.path("/home/dev")).unwrap();
        mode(&root.path("/home"), 0o755);
        mode(&root.path("/home/dev"), 0o755);
        let file = root.path("/home/dev/m.h");
        std::fs::write(&file, "").unwrap();
        mode(&file, 0o644);
        symlink("/home/dev/m.h", tree.join("m.h")).unwrap();
        symlink("sub/m.c", tree.join("inside")).unwrap();
        symlink("nowhere", tree.join("dangling")).unwrap();
        assert_eq!(loose(&root, &tree).unwrap(), None);
        mode(&file, 0o666);
        assert_eq!(loose(&root, &tree).unwrap(), Some(Loose { path: file.clone(), whose: Whose::Everybody }));
        mode(&file, 0o644);
        mode(&root.path("/home/dev"), 0o777);
        let dir = root.path("/home/dev");
        assert_eq!(loose(&root, &tree).unwrap(), Some(Loose { path: dir, whose: Whose::Everybody }));
    }

    #[test]
    fn another_owner_and_another_group_are_found() {
        if !Uid::effective().is_root() {
            // Only root can give files away.
            return;
        }
        let (_dir, root, tree) = root();
        let file = tree.join("sub/m.c");
        chown(&file, Some(1234), None).unwrap();
        assert_eq!(
            loose(&root, &tree).unwrap(),
            Some(Loose { path: file.clone(), whose: Whose::User(1234) })
        );
        chown(&file, Some(0), Some(1234)).unwrap();
        assert_eq!(loose(&root, &tree).unwrap(), None, "the group may not write");
        mode(&file, 0o664);
        assert_eq!(
            loose(&root, &tree).unwrap(),
            Some(Loose { path: file.clone(), whose: Whose::Group(1234) })
        );
        chown(&file, Some(0), Some(0)).unwrap();
        assert_eq!(loose(&root, &tree).unwrap(), None, "root's own group may write");
        // A group that may write above it can exchange it; that was decided for all of /usr/src.
        chown(root.path("/usr/src"), Some(0), Some(40)).unwrap();
        mode(&root.path("/usr/src"), 0o2775);
        assert_eq!(loose(&root, &tree).unwrap(), None);
        // A container's root is somebody else, seen from outside.
        for path in walkdir::WalkDir::new(root.dir()) {
            chown(path.unwrap().path(), Some(100_000), Some(100_000)).unwrap();
        }
        mode(&root.path("/usr/src"), 0o755);
        mode(&file, 0o644);
        assert_eq!(loose(&root, &tree).unwrap(), None);
    }
}
