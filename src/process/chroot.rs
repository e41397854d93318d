//! Whether this process lives in another root than the machine does.
//!
//! A key pair made in an image builder's chroot would end up, identical, in every copy of the
//! image; so modules are not signed there unless asked for.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::fs::root::Root;

/// Why this root counts as a chroot, in words that follow "not signed:"; `None` when it does not.
pub fn inside(root: &Root) -> Option<&'static str> {
    if root.is_foreign() {
        return Some("a root other than the running system");
    }
    if std::env::var_os("FAKECHROOT").is_some() {
        return Some("in a fakechroot");
    }
    // A running system has it; a package manager's scripts in an image may not.
    if !Path::new("/proc/self").exists() {
        return Some("in a chroot without /proc");
    }
    let identity = |path: &str| std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
    // Neither file can be read without privileges; a build without them signs nothing anyway.
    if let (Some(own), Some(first)) = (identity("/"), identity("/proc/1/root"))
        && own != first
    {
        return Some("in a chroot");
    }
    let mounts = |path: &str| std::fs::read_to_string(path).ok().as_deref().and_then(root_mount);
    match (mounts("/proc/self/mountinfo"), mounts("/proc/1/mountinfo")) {
        (Some(own), Some(first)) if own != first => Some("in a chroot"),
        _ => None,
    }
}

/// Device and directory that are mounted on `/` (fields 3 and 4 of proc_pid_mountinfo(5); the last
/// such line is the one in effect). Only these are compared, not the whole table as DKMS does: a
/// service with a private /tmp is no chroot.
fn root_mount(table: &str) -> Option<(String, String)> {
    let line = table.lines().rev().find(|line| line.split(' ').nth(4) == Some("/"))?;
    let mut fields = line.split(' ').skip(2);
    Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mount_on_the_root_is_compared() {
        let host = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n30 22 0:25 / /tmp rw - tmpfs tmpfs rw\n";
        let private_tmp = "99 98 254:1 / / rw - ext4 /dev/vda1 rw\n100 99 254:1 /tmp/x /tmp rw - ext4 y rw\n";
        let container = "99 98 0:77 / / rw - overlay overlay rw\n";
        assert_eq!(root_mount(host), root_mount(private_tmp));
        assert_ne!(root_mount(host), root_mount(container));
    }

    #[test]
    fn another_root_counts() {
        assert!(inside(&Root::at("/srv/image")).is_some());
        assert!(inside(&Root::entered()).is_some());
    }
}
