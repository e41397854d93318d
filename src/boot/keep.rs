//! Who would remove a kernel's package, and what keeps it.

use crate::fs::look::read_dir;
use crate::fs::regular;
use crate::fs::root::Root;
use crate::model::ids::KernelRelease;

/// Our file for apt, inside the root. apt reads names without a dot.
pub const APT: &str = "/etc/apt/apt.conf.d/90dkms-hook-boot-guard";

/// Kernels that dnf keeps where nobody says how many.
const USUAL_LIMIT: usize = 3;

/// What our file for apt has to say, so that no automatic removal takes the packages of a kernel away; `None` where
/// there is no apt, or the kernel has no package.
pub fn apt(root: &Root, kernel: &KernelRelease, why: &str) -> Option<String> {
    if !root.path("/etc/apt").is_dir() {
        return None;
    }
    let suffix = format!("-{kernel}");
    let mut packages: Vec<String> = read_dir(&root.path("/var/lib/dpkg/info"))
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let name = name.strip_suffix(".list")?;
            let name = name.split_once(':').map_or(name, |(name, _)| name);
            (name.starts_with("linux-") && name.ends_with(&suffix)).then(|| name.to_owned())
        })
        .filter(|name| name.bytes().all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c)))
        .collect();
    packages.sort();
    packages.dedup();
    if packages.is_empty() {
        return None;
    }
    let mut text = format!(
        "// Written by dkms-hook, and deleted by it when that is over: {why}.\n\
         // `boot_guard=no` in /etc/dkms/framework.conf switches this off.\n"
    );
    for package in packages {
        text.push_str(&format!("APT::NeverAutoRemove:: \"^{}$\";\n", expression(&package)));
    }
    Some(text)
}

/// A package's name as a regular expression. A plus that is not in brackets would match no plus.
fn expression(name: &str) -> String {
    let part = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_string() } else { format!("[{c}]") };
    name.chars().map(part).collect()
}

/// What a person should know of a package manager that nothing can be told to keep a kernel; `kernels` are all that are
/// installed, the oldest first.
pub fn advice(
    root: &Root,
    kernel: &KernelRelease,
    kernels: &[KernelRelease],
    running: Option<&KernelRelease>,
) -> Option<String> {
    if root.path("/etc/pacman.conf").is_file() {
        return Some(format!(
            "pacman replaces a kernel when its package is upgraded, and nothing keeps the one before: do not upgrade the \
             package of {kernel} (IgnorePkg in /etc/pacman.conf)"
        ));
    }
    if !root.path("/etc/dnf").is_dir() {
        return None;
    }
    let limit = installonly_limit(root);
    // The running one is protected; one that comes is one too many where the limit is reached.
    let removable: Vec<&KernelRelease> = kernels.iter().filter(|kernel| running != Some(*kernel)).collect();
    let too_many = if limit == 0 { 0 } else { (kernels.len() + 1).saturating_sub(limit) };
    removable.iter().take(too_many).any(|one| *one == kernel).then(|| {
        format!(
            "the next kernel that dnf installs removes {kernel} (installonly_limit={limit}), and nothing else keeps it: \
             start {kernel}, which protects it, or raise installonly_limit in /etc/dnf/dnf.conf"
        )
    })
}

/// How many kernels dnf keeps; 0 for all of them.
fn installonly_limit(root: &Root) -> usize {
    let text = regular::read_up_to(&root.path("/etc/dnf/dnf.conf"), 1 << 20).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    // The last one counts.
    let said = text.lines().rev().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "installonly_limit").then(|| value.trim().parse().ok()).flatten()
    });
    said.unwrap_or(USUAL_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Root, inside: &str, text: &str) {
        let path = root.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn kernel(name: &str) -> KernelRelease {
        KernelRelease::new(name).unwrap()
    }

    #[test]
    fn every_character_of_a_name_that_means_something_to_apt_is_in_brackets() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let k = kernel("6.12.10+deb13-amd64");
        assert_eq!(apt(&root, &k, ""), None);
        std::fs::create_dir_all(root.path("/etc/apt")).unwrap();
        assert_eq!(apt(&root, &k, ""), None, "no package has it");
        for name in [
            "linux-image-6.12.10+deb13-amd64.list",
            "linux-headers-6.12.10+deb13-amd64:amd64.list",
            "linux-headers-6.12.10+deb13-amd64.md5sums",
            "linux-image-6.12.9-amd64.list",
            "other-6.12.10+deb13-amd64.list",
        ] {
            write(&root, &format!("/var/lib/dpkg/info/{name}"), "");
        }
        let text = apt(&root, &k, "6.13 lacks zfs").unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("//")).collect();
        assert_eq!(
            lines,
            [
                "APT::NeverAutoRemove:: \"^linux-headers-6[.]12[.]10[+]deb13-amd64$\";",
                "APT::NeverAutoRemove:: \"^linux-image-6[.]12[.]10[+]deb13-amd64$\";",
            ]
        );
    }

    #[test]
    fn dnf_removes_the_oldest_of_too_many_but_not_the_running_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let all = ["6.1", "6.2", "6.3"].map(kernel);
        assert_eq!(advice(&root, &all[0], &all, None), None, "there is no dnf");
        std::fs::create_dir_all(root.path("/etc/dnf")).unwrap();
        let says = |at: usize, running: Option<usize>| {
            advice(&root, &all[at], &all, running.map(|running| &all[running])).is_some()
        };
        assert_eq!((says(0, None), says(1, None)), (true, false));
        assert_eq!((says(0, Some(0)), says(1, Some(0))), (false, true));
        write(&root, "/etc/dnf/dnf.conf", "[main]\ngpgcheck=1\ninstallonly_limit = 2\n");
        assert_eq!((says(1, None), says(2, None)), (true, false));
        write(&root, "/etc/dnf/dnf.conf", "[main]\ninstallonly_limit=0\n");
        assert!(!says(0, None));
        write(&root, "/etc/pacman.conf", "");
        assert!(advice(&root, &all[0], &all, None).unwrap().contains("pacman"));
    }
}
