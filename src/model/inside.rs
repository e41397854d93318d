//! Paths that somebody wrote down, in a record, a dkms.conf or an archive: whether they stay where they belong.

use std::path::{Component, Path, PathBuf};

/// True for a path that names something below the place where it starts: names, and nothing that climbs.
pub fn is_inside(path: &Path) -> bool {
    let mut names = false;
    let stays = path.components().all(|part| {
        names |= matches!(part, Component::Normal(_));
        matches!(part, Component::Normal(_) | Component::CurDir)
    });
    stays && names
}

/// True for a path that goes upwards somewhere.
pub fn climbs(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

/// A relative path without its steps upwards, as text: `a/../b` is `b`. `None` where it leads to the place where it
/// starts, or out of it.
pub fn plain(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop().then_some(())?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!out.as_os_str().is_empty()).then_some(out)
}

/// Where a path is below a directory; `None` where it is the directory itself, elsewhere, or climbs.
pub fn below<'p>(path: &'p Path, dir: &Path) -> Option<&'p Path> {
    path.strip_prefix(dir).ok().filter(|rest| is_inside(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_step_upwards_is_nowhere_inside() {
        for inside in ["a", "a/b", "./a", "a/./b", ".a", "..a/b", "a..", "a/"] {
            assert!(is_inside(Path::new(inside)), "{inside}");
        }
        for outside in ["", ".", "..", "/", "/a", "../a", "a/..", "a/../b", "a/../../b", "./../a"] {
            assert!(!is_inside(Path::new(outside)), "{outside}");
        }
        let without = |path: &str| plain(Path::new(path)).map(|path| path.display().to_string());
        assert_eq!(without("kernel/../misc/").as_deref(), Some("misc"));
        assert_eq!(without("./a/./b/../c/").as_deref(), Some("a/c"));
        for outside in ["", ".", "..", "a/..", "a/../..", "a/../../b", "../a", "/a", "a/../b/../../c"] {
            assert_eq!(without(outside), None, "{outside}");
        }
        assert!(climbs(Path::new("/a/../b")) && climbs(Path::new("..")) && !climbs(Path::new("/a/..b/.")));
        let dir = Path::new("/lib/modules/6.1");
        assert_eq!(below(Path::new("/lib/modules/6.1/updates/m.ko"), dir), Some(Path::new("updates/m.ko")));
        for outside in [
            "/lib/modules/6.1",
            "/lib/modules/6.1/",
            "/lib/modules/6.12/m.ko",
            "/lib/modules/6.1/../../../etc/passwd",
            "/lib/modules/6.1/updates/../../6.2/m.ko",
            "/etc/passwd",
            "updates/m.ko",
            "",
        ] {
            assert_eq!(below(Path::new(outside), dir), None, "{outside}");
        }
    }
}
