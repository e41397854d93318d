//! What a package of ours must be like, looked up in the finished file.
//!
//! Each rule says where it comes from. A problem is an answer, not an error: all are listed at once.

use std::collections::BTreeSet;

use debian_packaging::dependency::DependencyList;

use super::control::{is_conffile, md5};
use super::read::{Package, Packed};
use super::stage::Content;

/// Paths that kernel packages, module packages and users call, and that must therefore be there.
pub const CALLED: [&str; 16] = [
    "etc/apt/apt.conf.d/20dkms-hook",
    "etc/dkms/framework.conf",
    "etc/kernel/header_postinst.d/dkms",
    "etc/kernel/postinst.d/dkms",
    "etc/kernel/postrm.d/dkms",
    "etc/kernel/preinst.d/dkms",
    "etc/kernel/prerm.d/dkms",
    "usr/lib/dkms/common.postinst",
    "usr/lib/dkms/dkms_autoinstaller",
    "usr/lib/kernel/install.d/40-dkms.install",
    "usr/lib/systemd/system/dkms-hook-boot-check.service",
    "usr/lib/systemd/system/dkms-hook-boot-report.service",
    "usr/lib/sysusers.d/dkms-hook.conf",
    "usr/sbin/dkms",
    "usr/sbin/dkms-hook",
    "usr/share/doc/dkms-hook/copyright",
];

/// Everything wrong with `package`, one sentence each; empty when it is good.
pub fn problems(package: &Package) -> Vec<String> {
    let mut found = Vec::new();
    fields(package, &mut found);
    stands_in_for_dkms(package, &mut found);
    scripts(package, &mut found);
    triggers(package, &mut found);
    archive(&package.members, &mut found);
    archive(&package.tree, &mut found);
    conffiles(package, &mut found);
    md5sums(package, &mut found);
    links(package, &mut found);
    hooks(package, &mut found);
    found
}

/// The name that apt and dpkg expect: `PACKAGE_VERSION_ARCHITECTURE.deb`, without the epoch.
pub fn file_name(package: &Package) -> Option<String> {
    let field = |name| package.control.field_str(name);
    let version = field("Version")?;
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    Some(format!("{}_{version}_{}.deb", field("Package")?, field("Architecture")?))
}

/// Mandatory fields (Debian policy 5.3), and dependencies that can be parsed.
fn fields(package: &Package, found: &mut Vec<String>) {
    let control = &package.control;
    for name in ["Package", "Version", "Architecture", "Maintainer", "Description", "Installed-Size"] {
        if control.field_str(name).is_none_or(|value| value.trim().is_empty()) {
            found.push(format!("control: {name} is missing"));
        }
    }
    // The parser takes what it understands of an item and drops the rest, so what it understood must
    // be all there was.
    let without_blanks = |text: &str| text.split_whitespace().collect::<String>();
    for name in ["Depends", "Recommends", "Suggests", "Provides", "Conflicts", "Replaces"] {
        let Some(text) = control.field_str(name) else { continue };
        let understood = DependencyList::parse(text).map(|list| list.to_string());
        if understood.ok().is_none_or(|list| without_blanks(&list) != without_blanks(text)) {
            found.push(format!("control: {name} cannot be parsed: {text}"));
        }
    }
    if !control.field_str("Depends").is_some_and(|text| text.contains("libc6 (>= ")) {
        found.push("control: Depends does not say which C library the program needs".into());
    }
}

/// Other packages' dependencies on dkms are met, and dpkg replaces the one by the other.
fn stands_in_for_dkms(package: &Package, found: &mut Vec<String>) {
    for (name, wanted) in [("Provides", "dkms (= "), ("Conflicts", "dkms"), ("Replaces", "dkms")] {
        let text = package.control.field_str(name).unwrap_or_default();
        if !text.split(',').any(|item| item.trim().starts_with(wanted)) {
            found.push(format!("control: {name} does not name dkms"));
        }
    }
    for path in CALLED {
        if package.path(path).is_none() {
            found.push(format!("/{path} is missing"));
        }
    }
}

/// Maintainer scripts: executable, an interpreter that is always there, and they stop at an error
/// (Debian policy 6.1, 10.4).
fn scripts(package: &Package, found: &mut Vec<String>) {
    for name in ["postinst", "postrm"] {
        if package.member(name).is_none() {
            found.push(format!("{name} is missing"));
        }
    }
    for packed in &package.members {
        let name = packed.entry.path.as_str();
        let is_script = ["preinst", "postinst", "prerm", "postrm", "config"].contains(&name);
        if is_script && packed.entry.mode != 0o755 {
            found.push(format!("{name} has mode {:o}", packed.entry.mode));
        }
        let text = package.member(name).unwrap_or_default();
        if is_script && !(text.starts_with("#!/bin/sh\n") && text.lines().any(|line| line == "set -e")) {
            found.push(format!("{name} does not start with #!/bin/sh and set -e"));
        }
    }
}

/// Both spellings of the kernels' directory, and never a trigger that makes a kernel package wait
/// for us (deb-triggers(5)).
fn triggers(package: &Package, found: &mut Vec<String>) {
    let text = package.member("triggers").unwrap_or_default();
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    for wanted in ["/lib/modules", "/usr/lib/modules"] {
        if !lines.contains(&format!("interest-noawait {wanted}").as_str()) {
            found.push(format!("triggers: no interest in {wanted}"));
        }
    }
    for line in lines.iter().filter(|line| !line.starts_with("interest-noawait ")) {
        found.push(format!("triggers: {line:?} is not interest-noawait"));
    }
}

/// Names, order, owners, modes and dates of an archive.
fn archive(entries: &[Packed], found: &mut Vec<String>) {
    if entries.first().is_none_or(|first| first.raw_name != "./") {
        found.push("an archive does not start with ./".into());
    }
    let mut seen = BTreeSet::new();
    for packed in entries {
        let (name, entry) = (&packed.raw_name, &packed.entry);
        if !name.starts_with("./") || entry.path.split('/').any(|part| part == "..") {
            found.push(format!("{name} does not start with ./ or leaves the root"));
        }
        let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !entry.path.is_empty() && !seen.contains(parent) {
            found.push(format!("{name} comes before its directory"));
        }
        if !seen.insert(entry.path.as_str()) {
            found.push(format!("{name} is there twice"));
        }
        if packed.owner != (0, 0) || packed.owner_names != ("root".into(), "root".into()) {
            found.push(format!("{name} does not belong to root"));
        }
        let allowed: &[u32] = match entry.content {
            Content::Directory => &[0o755],
            Content::File(_) => &[0o644, 0o755],
            Content::Link(_) => &[0o777],
        };
        if !allowed.contains(&entry.mode) {
            found.push(format!("{name} has mode {:o}", entry.mode));
        }
        if packed.mtime != entries[0].mtime {
            found.push(format!("{name} has a date of its own: the package cannot be reproduced"));
        }
    }
}

/// `conffiles` lists exactly the files below `/etc`.
fn conffiles(package: &Package, found: &mut Vec<String>) {
    let listed: BTreeSet<_> = package.member("conffiles").unwrap_or_default().lines().collect();
    let packed: BTreeSet<_> = package.tree.iter().filter(|packed| is_conffile(&packed.entry)).collect_paths();
    for path in packed.iter().filter(|path| !listed.contains(path.as_str())) {
        found.push(format!("conffiles: {path} is not listed"));
    }
    for path in listed.iter().filter(|path| !packed.contains(**path)) {
        found.push(format!("conffiles: {path} is not in the package"));
    }
}

/// `md5sums` has the right sum for exactly the other files: `dpkg --verify` depends on it.
fn md5sums(package: &Package, found: &mut Vec<String>) {
    let text = package.member("md5sums").unwrap_or_default();
    let mut listed = BTreeSet::new();
    for line in text.lines() {
        let Some((sum, path)) = line.split_once("  ") else {
            found.push(format!("md5sums: {line:?} is not a sum and a path"));
            continue;
        };
        listed.insert(format!("/{path}"));
        match package.path(path).and_then(|packed| packed.entry.bytes()) {
            Some(bytes) if md5(bytes) == sum => {}
            Some(_) => found.push(format!("md5sums: {path} has another sum")),
            None => found.push(format!("md5sums: {path} is not in the package")),
        }
    }
    let has_sum = |packed: &&Packed| packed.entry.bytes().is_some() && !is_conffile(&packed.entry);
    for path in package.tree.iter().filter(has_sum).collect_paths().difference(&listed) {
        found.push(format!("md5sums: {path} is missing"));
    }
}

/// A link inside one top-level directory is relative (Debian policy 10.5), and leads to a file of
/// the package.
fn links(package: &Package, found: &mut Vec<String>) {
    for packed in &package.tree {
        let Content::Link(target) = &packed.entry.content else { continue };
        let path = &packed.entry.path;
        let above = |path: &str| path.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
        let (mut parent, mut below) = (above(path), target.as_str());
        while let Some(rest) = below.strip_prefix("../") {
            (parent, below) = (above(&parent), rest);
        }
        let inside = format!("{parent}/{below}");
        let inside = inside.trim_start_matches('/');
        if target.starts_with('/') || package.path(inside).is_none() {
            found.push(format!("/{path} points to {target}, which is not a file of the package"));
        }
    }
}

/// Hooks for run-parts(8): executable, a name it accepts, quiet when the program is gone (conffiles
/// outlive their package), and never a failure for the kernel package.
fn hooks(package: &Package, found: &mut Vec<String>) {
    for packed in package.tree.iter().filter(|packed| packed.entry.path.starts_with("etc/kernel/")) {
        let Some(bytes) = packed.entry.bytes() else { continue };
        let path = &packed.entry.path;
        let name = path.rsplit('/').next().unwrap_or(path);
        if packed.entry.mode != 0o755 {
            found.push(format!("/{path} is not executable"));
        }
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
            found.push(format!("/{path} has a name that run-parts skips"));
        }
        let text = String::from_utf8_lossy(bytes);
        let guarded = text.contains("[ -x /usr/sbin/dkms-hook ] || exit 0\n") && text.ends_with(" || :\n");
        if !text.starts_with("#!/bin/sh\n") || !(guarded || text.ends_with("\nexit 0\n")) {
            found.push(format!("/{path} can fail, or can run without the program"));
        }
    }
}

trait CollectPaths {
    fn collect_paths(self) -> BTreeSet<String>;
}

impl<'a, I: Iterator<Item = &'a Packed>> CollectPaths for I {
    fn collect_paths(self) -> BTreeSet<String> {
        self.map(|packed| format!("/{}", packed.entry.path)).collect()
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
