//! GRUB: which kernel its menu starts by itself.
//!
//! The way of GRUB_TOP_LEVEL (GRUB 2.12 and later): the kernel that it names becomes the first entry of the menu that
//! update-grub makes. That needs no grubenv, no names of entries, and is undone when the file that says so is gone.
//! `saved_entry` is no such way: GRUB starts the newest kernel without a word when the entry is not there.

use std::path::{Path, PathBuf};

use crate::conf::evaluation::{self, Question};
use crate::fs::look::{self, read_dir};
use crate::fs::regular;
use crate::fs::root::Root;
use crate::model::ids::KernelRelease;
use crate::model::settings::Limit;

/// The menu.
pub const MENU: &str = "/boot/grub/grub.cfg";

/// Our file, the last of its directory by its name, inside the root.
pub const FILE: &str = "/etc/default/grub.d/zz-dkms-hook-boot-guard.cfg";

/// The directory that has a file for each entry.
const ENTRIES: &str = "/boot/loader/entries";

/// Where Fedora's GRUB remembers things.
const ENVIRONMENT: &str = "/boot/grub2/grubenv";

/// The part of a menu that is read, in bytes. One with a hundred kernels has some 300 KiB.
const LARGEST: u64 = 16 << 20;

/// Whether GRUB has an entry in a file for each kernel.
pub(super) fn has_entries(root: &Root) -> bool {
    (root.path(ENVIRONMENT).exists() || root.path("/boot/grub2/grub.cfg").exists())
        && read_dir(&root.path(ENTRIES)).next().is_some()
}

/// What our file has to say, so that `kernel` is the first entry.
///
/// # Errors
/// A sentence that says why that is not done: what the user has chosen, or what is missing here.
pub fn text(root: &Root, kernel: &KernelRelease, why: &str, limit: Limit) -> Result<String, String> {
    let image = format!("/boot/vmlinuz-{kernel}");
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+~-".contains(c);
    if !kernel.as_str().chars().all(plain) || !root.path(&image).is_file() {
        return Err(format!("there is no {image} that GRUB could start"));
    }
    let chosen = settings(root, limit)?;
    match chosen.default.as_deref() {
        None | Some("" | "0") => {}
        Some("saved") => {
            let saved = saved_entry(&root.path("/boot/grub/grubenv"));
            let starts = saved.map_or_else(|| "nothing yet".to_owned(), |entry| format!("`{entry}`"));
            return Err(format!(
                "GRUB_DEFAULT=saved in /etc/default/grub is left as it is: saved_entry is {starts}. Make sure that \
                 {kernel} is started"
            ));
        }
        Some(other) => {
            return Err(format!(
                "GRUB_DEFAULT={other} in /etc/default/grub is left as it is. Make sure that {kernel} is started"
            ));
        }
    }
    if let Some(other) = chosen.top_level.filter(|text| !text.is_empty()) {
        return Err(format!(
            "GRUB_TOP_LEVEL={other} in /etc/default/grub is left as it is. Make sure that {kernel} is started"
        ));
    }
    let has = |file: &str, word: &str| {
        regular::read_up_to(&root.path(file), LARGEST)
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(word))
    };
    if !has("/etc/grub.d/10_linux", "GRUB_TOP_LEVEL") || !has("/usr/sbin/grub-mkconfig", "default/grub.d") {
        return Err(format!(
            "this GRUB cannot be told which kernel comes first: choose {kernel} in its menu below \"Advanced options\""
        ));
    }
    Ok(format!(
        "# Written by dkms-hook, and deleted by it when that is over: {why}.\n\
         # `boot_guard=no` in /etc/dkms/framework.conf switches this off.\nGRUB_TOP_LEVEL=\"{image}\"\n"
    ))
}

/// What the user's files say.
#[derive(Debug, Default)]
struct Chosen {
    default: Option<String>,
    top_level: Option<String>,
}

/// Reads /etc/default/grub and what is beside it, without our own file.
fn settings(root: &Root, limit: Limit) -> Result<Chosen, String> {
    let mut files: Vec<PathBuf> = read_dir(&root.path("/etc/default/grub.d"))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cfg"))
        .filter(|path| *path != root.path(FILE))
        .collect();
    files.sort();
    files.insert(0, root.path("/etc/default/grub"));
    // One that nobody could look at may hold the user's choice: it is opened, and that fails.
    files.retain(|file| look::exists(file) != Ok(false));
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let question =
        Question { exported: &["GRUB_DEFAULT", "GRUB_TOP_LEVEL"], given: Vec::new(), limit, foreign: false };
    let answer = evaluation::open(root, &paths)
        .and_then(|sources| evaluation::evaluate(root, &question, &sources))
        .map_err(|error| format!("what GRUB starts cannot be changed: {error}"))?;
    let value = |name: &str| answer.values.get(name).and_then(|elements| elements.get(&0)).cloned();
    Ok(Chosen { default: value("GRUB_DEFAULT"), top_level: value("GRUB_TOP_LEVEL") })
}

/// Whether the first entry of the menu starts a kernel.
pub fn starts(root: &Root, kernel: &KernelRelease) -> bool {
    let menu = regular::read_up_to(&root.path(MENU), LARGEST).unwrap_or_default();
    let menu = String::from_utf8_lossy(&menu);
    let image = format!("/vmlinuz-{kernel}");
    let first = menu.lines().map(str::trim_start).find_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("linux" | "linuxefi" | "linux16")).then(|| words.next())
    });
    first.flatten().is_some_and(|path| path.ends_with(&image))
}

/// Whether the menu starts its first entry by itself, and not one that was saved or named.
pub(super) fn takes_the_first(root: &Root) -> bool {
    let menu = regular::read_up_to(&root.path(MENU), LARGEST).unwrap_or_default();
    let menu = String::from_utf8_lossy(&menu);
    menu.lines().any(|line| line.trim() == "set default=\"0\"")
}

/// The kernel that is started where GRUB has an entry in a file for each, as far as that was saved.
pub(super) fn saved<'k>(root: &Root, kernels: &[&'k KernelRelease]) -> Option<&'k KernelRelease> {
    let entry = saved_entry(&root.path(ENVIRONMENT))?;
    let entry = entry.trim_end_matches(".conf");
    let named = kernels.iter().filter(|kernel| entry.ends_with(&format!("-{kernel}")));
    // One release may be the end of another.
    named.max_by_key(|kernel| kernel.as_str().len()).copied()
}

/// What a person can do where GRUB has an entry in a file for each kernel; what is started then, where that is known.
pub fn advice_for_entries(root: &Root, kernel: &KernelRelease) -> String {
    let saved = saved_entry(&root.path(ENVIRONMENT));
    match saved {
        Some(entry) if entry.trim_end_matches(".conf").ends_with(&format!("-{kernel}")) => {
            format!("GRUB starts {kernel} by default (saved_entry)")
        }
        _ => format!("make {kernel} the default: `grubby --set-default /boot/vmlinuz-{kernel}`"),
    }
}

/// `saved_entry` in a file of grub-editenv(1).
fn saved_entry(file: &Path) -> Option<String> {
    let text = regular::read_up_to(file, 1 << 16).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let entry = text.lines().find_map(|line| line.strip_prefix("saved_entry="))?;
    Some(entry.to_owned()).filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: &str = "6.12.10+deb13-amd64";

    fn write(root: &Root, inside: &str, text: &str) {
        let path = root.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn debian() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        write(&root, &format!("/boot/vmlinuz-{K}"), "");
        write(&root, "/etc/grub.d/10_linux", "if [ x\"$GRUB_TOP_LEVEL\" != x ]; then\n");
        write(&root, "/usr/sbin/grub-mkconfig", "for x in /etc/default/grub.d/*.cfg ; do\n");
        (dir, root)
    }

    fn ask(root: &Root) -> Result<String, String> {
        text(root, &KernelRelease::new(K).unwrap(), "because", Limit::seconds("", 10))
    }

    #[test]
    fn a_choice_that_cannot_be_read_is_not_taken_for_none() {
        let (_dir, root) = debian();
        std::fs::create_dir_all(root.path("/etc/default")).unwrap();
        std::os::unix::fs::symlink("grub", root.path("/etc/default/grub")).unwrap();
        let said = ask(&root).unwrap_err();
        assert!(said.contains("/etc/default/grub") && said.contains("cannot be changed"), "{said}");
    }

    #[test]
    fn a_default_that_nobody_chose_is_changed_and_every_other_is_told() {
        let (_dir, root) = debian();
        let line = format!("GRUB_TOP_LEVEL=\"/boot/vmlinuz-{K}\"");
        assert_eq!(ask(&root).unwrap().lines().last(), Some(line.as_str()));
        for none in ["GRUB_TIMEOUT=5\n", "GRUB_DEFAULT=0\n", "GRUB_DEFAULT=\"0\"\n", "GRUB_DEFAULT=\n"] {
            write(&root, "/etc/default/grub", none);
            assert!(ask(&root).is_ok(), "{none}");
        }
        write(&root, FILE, "GRUB_TOP_LEVEL=/boot/vmlinuz-1\n");
        assert!(ask(&root).is_ok(), "that file is ours");
        for (chosen, told) in [
            ("GRUB_DEFAULT=saved\n", "saved_entry is nothing yet"),
            ("GRUB_DEFAULT=\"1>2\"\n", "GRUB_DEFAULT=1>2"),
            ("GRUB_TOP_LEVEL=/boot/vmlinuz-2\n", "GRUB_TOP_LEVEL=/boot/vmlinuz-2"),
            ("if\n", "cannot be changed"),
        ] {
            write(&root, "/etc/default/grub.d/site.cfg", chosen);
            let said = ask(&root).unwrap_err();
            assert!(said.contains(told), "{said}");
        }
        write(&root, "/etc/default/grub.d/site.cfg", "GRUB_DEFAULT=saved\n");
        write(&root, "/boot/grub/grubenv", "# GRUB Environment Block\nsaved_entry=a>b\n####");
        assert!(ask(&root).unwrap_err().contains("saved_entry is `a>b`"));
    }

    #[test]
    fn a_grub_that_cannot_do_it_is_left_alone() {
        for file in ["/etc/grub.d/10_linux", "/usr/sbin/grub-mkconfig"] {
            let (_dir, root) = debian();
            write(&root, file, "older\n");
            assert!(ask(&root).unwrap_err().contains("Advanced options"), "{file}");
        }
        let (_dir, root) = debian();
        std::fs::remove_file(root.path(format!("/boot/vmlinuz-{K}"))).unwrap();
        assert!(ask(&root).unwrap_err().contains("no /boot/vmlinuz-"));
        let odd = KernelRelease::new("6.1$(x)").unwrap();
        write(&root, "/boot/vmlinuz-6.1$(x)", "");
        assert!(text(&root, &odd, "", Limit::seconds("", 10)).is_err());
    }

    #[test]
    fn the_first_entry_of_the_menu_is_what_is_started() {
        let (_dir, root) = debian();
        let (kernel, other) = (KernelRelease::new(K).unwrap(), KernelRelease::new("6.12.9-amd64").unwrap());
        assert!(!starts(&root, &kernel));
        let menu = format!(
            "set linux_gfx_mode=auto\nmenuentry 'Debian' {{\n\tlinux\t/boot/vmlinuz-{K} root=UUID=1 ro\n}}\n\
             menuentry 'x' {{\n\tlinux /boot/vmlinuz-6.12.9-amd64 ro\n}}\n"
        );
        write(&root, MENU, &menu);
        assert_eq!((starts(&root, &kernel), starts(&root, &other)), (true, false));
    }

    #[test]
    fn fedoras_default_is_told_and_not_changed() {
        let (_dir, root) = debian();
        let kernel = KernelRelease::new("6.12.1-200.fc41.x86_64").unwrap();
        assert!(advice_for_entries(&root, &kernel).contains("grubby --set-default /boot/vmlinuz-6.12.1-200"));
        write(&root, ENVIRONMENT, "saved_entry=0123-6.12.1-200.fc41.x86_64\n");
        assert!(advice_for_entries(&root, &kernel).starts_with("GRUB starts 6.12.1"));
    }
}
