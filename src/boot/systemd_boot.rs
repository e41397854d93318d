//! systemd-boot: which kernel it starts by itself.
//!
//! Without a default it starts the first entry, the newest kernel, and passes over entries whose tries are used up
//! (boot counting). A default in loader.conf, or in the variable LoaderEntryDefault, is started whatever its tries: so
//! none is set but the kernel that has every essential module.

use std::path::PathBuf;

use crate::boot::variable::variable;
use crate::fs::look::read_dir;
use crate::fs::regular;
use crate::fs::root::Root;
use crate::model::ids::KernelRelease;

/// Where the partition that the firmware reads is mounted.
const PLACES: [&str; 3] = ["/efi", "/boot/efi", "/boot"];

/// The first of our lines in loader.conf; the one after it is the other.
const MARK: &str = "# dkms-hook boot guard, which takes this and the next line away again: ";

/// Variables of the user's choice, what is preferred and what is the default.
const CHOICES: [&str; 2] = ["LoaderEntryPreferred", "LoaderEntryDefault"];

/// Whether its program is on the partition.
pub(super) fn is_installed(root: &Root) -> bool {
    PLACES.iter().any(|place| {
        read_dir(&root.path(format!("{place}/EFI/systemd"))).any(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.to_ascii_lowercase().starts_with("systemd-boot"))
        })
    })
}

/// The settings of systemd-boot, as this process opens them, wherever they are.
pub fn conf(root: &Root) -> Option<PathBuf> {
    let places = || PLACES.iter().map(|place| root.path(place));
    let own =
        |place: &PathBuf| place.join("EFI/systemd").is_dir() || place.join("loader/loader.conf").is_file();
    places().find(own).map(|place| place.join("loader/loader.conf"))
}

/// What loader.conf has to say, so that `kernel` is started; `before` is what it says now.
///
/// # Errors
/// A sentence that says why that is not done.
pub fn with_default(root: &Root, before: &str, kernel: &KernelRelease, why: &str) -> Result<String, String> {
    let own = without(before);
    let make_sure = format!("Make sure that {kernel} is started");
    for name in CHOICES {
        if let Some(entry) = variable(root, name) {
            return Err(format!("`{entry}`, which was chosen ({name}), is left the default. {make_sure}"));
        }
    }
    let chosen = own.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("default" | "preferred")).then(|| words.next()).flatten()
    });
    if let Some(entry) = chosen {
        return Err(format!("`default {entry}` in loader.conf is left as it is. {make_sure}"));
    }
    let Some(entry) = entry(root, kernel) else {
        return Err(format!("there is no boot entry of {kernel}: `kernel-install add {kernel}` makes one"));
    };
    let end = if own.is_empty() || own.ends_with('\n') { "" } else { "\n" };
    Ok(format!("{own}{end}{MARK}{why}\ndefault {entry}\n"))
}

/// loader.conf without our lines.
pub fn without(text: &str) -> String {
    let mut lines = text.split_inclusive('\n');
    let mut left = String::new();
    while let Some(line) = lines.next() {
        if !line.starts_with(MARK) {
            left.push_str(line);
            continue;
        }
        match lines.next() {
            Some(ours) if ours.starts_with("default ") => {}
            // Somebody has changed it: that is not ours any more.
            Some(other) => left.push_str(other),
            None => {}
        }
    }
    left
}

/// The name of a kernel's boot entry, as `default` takes it: without the tries that are left.
fn entry(root: &Root, kernel: &KernelRelease) -> Option<String> {
    let files = |dir: &str, suffix: &'static str| {
        let found = PLACES.iter().flat_map(move |place| read_dir(&root.path(format!("{place}/{dir}"))));
        let named = found.filter_map(move |entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.strip_suffix(suffix)?.to_owned(), entry.path()))
        });
        named.collect::<Vec<_>>()
    };
    let of_kernel = |stem: &str| stem == kernel.as_str() || stem.ends_with(&format!("-{kernel}"));
    let says = |path: &PathBuf| {
        let text = regular::read_up_to(path, 1 << 16).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("version") && words.next() == Some(kernel.as_str())
        })
    };
    let mut names: Vec<String> = files("loader/entries", ".conf")
        .into_iter()
        .filter(|(stem, path)| of_kernel(without_tries(stem)) || says(path))
        .map(|(stem, _)| format!("{}.conf", without_tries(&stem)))
        .collect();
    let images = files("EFI/Linux", ".efi").into_iter().filter(|(stem, _)| of_kernel(without_tries(stem)));
    names.extend(images.map(|(stem, _)| format!("{}.efi", without_tries(&stem))));
    names.sort();
    names.into_iter().next()
}

/// A name without `+LEFT` or `+LEFT-DONE` at its end. A release may have a plus itself.
fn without_tries(stem: &str) -> &str {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    match stem.rsplit_once('+') {
        Some((name, tries)) if tries.split('-').count() <= 2 && tries.split('-').all(number) => name,
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: &str = "6.12.10+deb13-amd64";

    fn write(root: &Root, inside: &str, bytes: &[u8]) {
        let path = root.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn ask(root: &Root, before: &str) -> Result<String, String> {
        with_default(root, before, &KernelRelease::new(K).unwrap(), "6.13 lacks zfs")
    }

    #[test]
    fn our_lines_come_and_go_and_leave_the_rest_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        assert!(ask(&root, "").unwrap_err().contains("no boot entry"));
        write(&root, &format!("/boot/efi/loader/entries/0123-{K}+2-1.conf"), b"title x\n");
        for before in ["", "timeout 3\n#default x\n", "timeout 3"] {
            let after = ask(&root, before).unwrap();
            assert!(after.ends_with(&format!("6.13 lacks zfs\ndefault 0123-{K}.conf\n")), "{after}");
            assert_eq!(ask(&root, &after).unwrap(), after, "twice");
            assert_eq!(without(&after).trim_end(), before.trim_end());
        }
        let changed = ask(&root, "").unwrap().replace("default 0123", "timeout 0123");
        assert!(without(&changed).starts_with("timeout 0123"), "that line is somebody else's");
    }

    #[test]
    fn what_somebody_chose_stays() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        write(&root, "/boot/loader/entries/new.conf", format!("version {K}\n").as_bytes());
        assert!(ask(&root, "").unwrap().ends_with("default new.conf\n"));
        assert!(ask(&root, "default other-*\n").unwrap_err().contains("`default other-*`"));
        let mut bytes = vec![7, 0, 0, 0];
        bytes.extend("mine.conf".encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        let variable = "/sys/firmware/efi/efivars/LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
        write(&root, variable, &bytes);
        assert!(ask(&root, "").unwrap_err().contains("`mine.conf`"));
    }

    #[test]
    fn tries_are_no_part_of_the_name() {
        for (name, bare) in [
            ("a-6.1+3", "a-6.1"),
            ("a-6.1+0-3", "a-6.1"),
            ("a-6.12.10+deb13-amd64", "a-6.12.10+deb13-amd64"),
            ("a-6.12.10+deb13-amd64+1-2", "a-6.12.10+deb13-amd64"),
            ("a", "a"),
        ] {
            assert_eq!(without_tries(name), bare);
        }
    }

    #[test]
    fn a_unified_image_is_an_entry() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        write(&root, &format!("/efi/EFI/Linux/debian-{K}+3.efi"), b"");
        assert!(ask(&root, "").unwrap().ends_with(&format!("default debian-{K}.efi\n")));
        assert_eq!(conf(&root), None);
        write(&root, "/efi/EFI/systemd/systemd-bootx64.efi", b"");
        assert_eq!(conf(&root), Some(root.path("/efi/loader/loader.conf")));
    }
}
