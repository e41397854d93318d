//! Whether two paths are one thing, or hold the same.

use std::io::Read;
use std::path::Path;

use crate::fs::regular;

/// True when both paths are there and lead to the same file or directory.
pub fn same_place(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// True when both are regular files with the same bytes.
pub fn same_content(a: &Path, b: &Path) -> bool {
    let regular = |p: &Path| std::fs::symlink_metadata(p).ok().filter(|m| m.is_file());
    let (Some(ma), Some(mb)) = (regular(a), regular(b)) else { return false };
    if ma.len() != mb.len() {
        return false;
    }
    let (Ok(mut fa), Ok(mut fb)) = (regular::open_itself(a), regular::open_itself(b)) else { return false };
    let (mut ba, mut bb) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let Ok(na) = fa.read(&mut ba) else { return false };
        if na == 0 {
            return true;
        }
        if fb.read_exact(&mut bb[..na]).is_err() || ba[..na] != bb[..na] {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_contents() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a"), "one").unwrap();
        std::fs::write(at("b"), "one").unwrap();
        std::fs::write(at("c"), "two").unwrap();
        std::os::unix::fs::symlink("a", at("link")).unwrap();
        std::fs::create_dir(at("d")).unwrap();
        assert!(same_place(&at("a"), &at("link")) && same_place(&at("d/../a"), &at("a")));
        assert!(!same_place(&at("a"), &at("b")) && !same_place(&at("none"), &at("none")));
        assert!(same_content(&at("a"), &at("b")) && !same_content(&at("a"), &at("c")));
        assert!(!same_content(&at("a"), &at("link")), "a link is no regular file");
    }
}
