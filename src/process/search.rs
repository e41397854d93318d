//! Where programs are looked for: in PATH, then in the usual directories that it leaves out.
//!
//! `su` without `-`, cron and many a script start programs with a PATH that has no `sbin`; depmod is there.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The directories of a shell that is given no PATH.
const USUAL: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What we look in, and what every child gets as PATH, if nothing else is set for it.
pub fn search_path() -> &'static OsString {
    static FOUND: OnceLock<OsString> = OnceLock::new();
    FOUND.get_or_init(|| completed(std::env::var_os("PATH")))
}

fn completed(path: Option<OsString>) -> OsString {
    let given = path.filter(|path| !path.is_empty());
    let mut dirs: Vec<PathBuf> = given.iter().flat_map(std::env::split_paths).collect();
    for usual in USUAL.map(PathBuf::from) {
        if !dirs.contains(&usual) {
            dirs.push(usual);
        }
    }
    // What came out of a PATH has no colon.
    std::env::join_paths(dirs).unwrap_or_else(|_| USUAL.join(":").into())
}

/// The executable file that a command name stands for: a path as it is, a name looked up.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let is_program = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if name.is_empty() {
        return None;
    }
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|p| is_program(p));
    }
    std::env::split_paths(search_path()).map(|dir| dir.join(name)).find(|p| is_program(p))
}

/// Says that a program was not found, and where it was looked for. It may well be installed elsewhere.
pub fn not_found(program: &str) -> String {
    match program.contains('/') {
        true => format!("there is no program {program}"),
        false => format!("{program} was not found in {}", search_path().to_string_lossy()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_leaves_out_is_added_behind_it() {
        let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let rows = [
            (None, usual.to_owned()),
            (Some(""), usual.to_owned()),
            (Some(usual), usual.to_owned()),
            // `su` without `-`, and cron.
            (
                Some("/usr/bin:/bin"),
                "/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin".to_owned(),
            ),
            (Some("/opt/x"), format!("/opt/x:{usual}")),
        ];
        for (given, path) in rows {
            assert_eq!(completed(given.map(OsString::from)), *path, "{given:?}");
        }
    }

    #[test]
    fn what_is_not_found_is_told_with_the_places() {
        assert!(not_found("no-such-program").contains("/usr/sbin"));
        assert_eq!(not_found("/opt/none"), "there is no program /opt/none");
        assert!(find_program("no-such-program").is_none() && find_program("sh").is_some());
    }
}
