//! The parameters that a kernel is started with, as far as its boot entries and the settings that they are made from
//! say.

use std::path::{Path, PathBuf};

use crate::fs::look::read_dir;
use crate::fs::regular;
use crate::fs::root::Root;
use crate::model::ids::KernelRelease;

/// Where the entries of the Boot Loader Specification are.
const ENTRIES: [&str; 3] = ["/boot/loader/entries", "/efi/loader/entries", "/boot/efi/loader/entries"];

/// GRUB's menu, as Debian and as Fedora have it; the file with its variables is beside it.
const GRUB: [&str; 2] = ["/boot/grub", "/boot/grub2"];

/// What kernel-install takes for new entries and unified images (kernel-install(8)).
const FOR_NEW_ENTRIES: [&str; 2] = ["/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"];

/// What grub-mkconfig takes, and the directory of files that are read after it on Debian.
const FOR_NEW_MENUS: &str = "/etc/default/grub";

/// The parameters of a kernel, a line for each of its boot entries but those for rescue. Where it has no entry yet, a line as the
/// next one will have it; nothing when nobody says.
pub(super) fn lines(root: &Root, kernel: &KernelRelease) -> Vec<String> {
    let mut lines: Vec<String> = ENTRIES.iter().flat_map(|dir| of_entries(root, dir, kernel)).collect();
    lines.extend(GRUB.iter().flat_map(|dir| of_menu(root, dir, kernel)));
    lines.retain(|line| !is_for_rescue(line));
    if lines.is_empty() {
        lines.extend(to_come(root));
    }
    lines
}

fn is_for_rescue(line: &str) -> bool {
    line.split_whitespace()
        .any(|word| matches!(word, "single" | "recovery" | "rescue" | "systemd.unit=rescue.target"))
}

fn of_entries(root: &Root, dir: &str, kernel: &KernelRelease) -> Vec<String> {
    let files = read_dir(&root.path(dir)).map(|entry| entry.path());
    let entries = files.filter(|path| path.extension().is_some_and(|suffix| suffix == "conf"));
    let texts = entries.filter_map(|path| regular::read_to_string(&path).ok());
    texts.filter_map(|text| of_entry(root, &text, kernel)).collect()
}

/// The options of an entry that is this kernel's.
fn of_entry(root: &Root, text: &str, kernel: &KernelRelease) -> Option<String> {
    let fields = || {
        text.lines()
            .filter_map(|line| line.trim().split_once(char::is_whitespace))
            .map(|(k, v)| (k, v.trim()))
    };
    let is_kernels = fields().any(|(field, value)| match field {
        "version" => value == kernel.as_str(),
        "linux" | "efi" | "uki" => names(value, kernel),
        _ => false,
    });
    is_kernels.then(|| {
        let options: Vec<&str> = fields().filter(|(field, _)| *field == "options").map(|(_, v)| v).collect();
        expand(root, &options.join(" "))
    })
}

/// Whether the path of a kernel is that of a release: `/vmlinuz-6.1`, or `/TOKEN/6.1/linux`.
fn names(path: &str, kernel: &KernelRelease) -> bool {
    let path = Path::new(path);
    let release = kernel.as_str();
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let in_dir = path.parent().and_then(Path::file_name).is_some_and(|dir| dir == release);
    in_dir || file.split_once('-').is_some_and(|(start, rest)| start != "initrd" && rest == release)
}

/// A line in which GRUB would put its variables: those of its file, and nothing for others.
fn expand(root: &Root, line: &str) -> String {
    if !line.contains('$') {
        return line.to_owned();
    }
    let files = GRUB.iter().map(|dir| root.path(dir).join("grubenv"));
    let set: String = files.filter_map(|file| regular::read_to_string(&file).ok()).collect();
    let value = |name: &str| {
        set.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned()
    };
    let words = line.split_whitespace().map(|word| match word.strip_prefix('$') {
        Some(name) => value(name.trim_matches(['{', '}'])),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn of_menu(root: &Root, dir: &str, kernel: &KernelRelease) -> Vec<String> {
    let Ok(menu) = regular::read_to_string(&root.path(dir).join("grub.cfg")) else { return Vec::new() };
    let lines = menu.lines().filter_map(|line| {
        let (command, rest) = line.trim().split_once(char::is_whitespace)?;
        let (path, parameters) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest, ""));
        let starts = matches!(command, "linux" | "linuxefi" | "linux16");
        (starts && names(path, kernel)).then(|| expand(root, parameters.trim()))
    });
    lines.collect()
}

/// What the next entry will have.
fn to_come(root: &Root) -> Option<String> {
    let given = FOR_NEW_ENTRIES.iter().find_map(|file| regular::read_to_string(&root.path(file)).ok());
    if let Some(text) = given {
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        return Some(lines.join(" "));
    }
    let first = regular::read_to_string(&root.path(FOR_NEW_MENUS)).ok()?;
    let mut more: Vec<PathBuf> = read_dir(&root.path(format!("{FOR_NEW_MENUS}.d")))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "cfg"))
        .collect();
    more.sort();
    let texts =
        std::iter::once(first).chain(more.iter().filter_map(|file| regular::read_to_string(file).ok()));
    let (mut always, mut usually) = (String::new(), String::new());
    for text in texts {
        for (name, value) in text.lines().filter_map(assignment) {
            match name {
                "GRUB_CMDLINE_LINUX" => always = value.replace("$GRUB_CMDLINE_LINUX", &always),
                "GRUB_CMDLINE_LINUX_DEFAULT" => {
                    usually = value.replace("$GRUB_CMDLINE_LINUX_DEFAULT", &usually);
                }
                _ => {}
            }
        }
    }
    Some(format!("{always} {usually}"))
}

/// `NAME=VALUE` of a shell, without its quotes.
fn assignment(line: &str) -> Option<(&str, String)> {
    let (name, value) = line.trim().trim_start_matches("export ").split_once('=')?;
    let words = shlex::split(value)?;
    Some((name, words.into_iter().next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: &str = "6.12.117+deb13-amd64";

    fn root() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        (dir, root)
    }

    fn write(root: &Root, path: &str, text: &str) {
        let path = root.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn of(root: &Root) -> Vec<String> {
        lines(root, &KernelRelease::new(K).unwrap())
    }

    #[test]
    fn grubs_menu_has_them_for_each_kernel() {
        let (_dir, root) = root();
        let menu = format!(
            "menuentry 'a' {{\n\tlinux\t/boot/vmlinuz-{K} root=UUID=1 ro  quiet lockdown=integrity\n}}\n\
             menuentry 'b' {{\n\tlinux\t/boot/vmlinuz-{K} root=UUID=1 ro single\n}}\n\
             menuentry 'c' {{\n\tlinux\t/boot/vmlinuz-{K}x root=UUID=1 ro other\n}}\n"
        );
        write(&root, "/boot/grub/grub.cfg", &menu);
        write(&root, "/etc/default/grub", "GRUB_CMDLINE_LINUX=\"not yet\"\n");
        assert_eq!(of(&root), ["root=UUID=1 ro  quiet lockdown=integrity"]);
    }

    #[test]
    fn entries_of_the_boot_loader_specification() {
        let (_dir, root) = root();
        let entry = format!(
            "title x\nversion {K}\nlinux /vmlinuz-{K}\noptions root=/dev/a $kernelopts\noptions ro\n"
        );
        write(&root, "/boot/loader/entries/a.conf", &entry);
        write(&root, "/boot/grub2/grubenv", "# GRUB\nkernelopts=module.sig_enforce=1 quiet\n");
        let token = format!("linux /0123/{K}/linux\noptions rw\n");
        write(&root, "/efi/loader/entries/b.conf", &token);
        write(&root, "/efi/loader/entries/c.conf", "linux /0123/6.1/linux\noptions other\n");
        assert_eq!(of(&root), ["root=/dev/a module.sig_enforce=1 quiet ro", "rw"]);
    }

    #[test]
    fn without_an_entry_what_the_next_will_have() {
        let (_dir, root) = root();
        assert!(of(&root).is_empty());
        write(
            &root,
            "/etc/default/grub",
            "# GRUB_CMDLINE_LINUX=no\nGRUB_CMDLINE_LINUX='a=\"1 2\" b'\nGRUB_CMDLINE_LINUX_DEFAULT=quiet\n",
        );
        assert_eq!(of(&root), ["a=\"1 2\" b quiet"]);
        write(
            &root,
            "/etc/default/grub.d/x.cfg",
            "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT lockdown=integrity\"\n",
        );
        assert_eq!(of(&root), ["a=\"1 2\" b quiet lockdown=integrity"]);
        write(&root, "/etc/kernel/cmdline", "root=/dev/b\n# no\nquiet\n");
        assert_eq!(of(&root), ["root=/dev/b quiet"]);
    }
}
