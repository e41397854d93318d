//! The files that describe the package: `control`, `conffiles`, `md5sums`.

use debian_packaging::control::{ControlFile, ControlParagraph};
use md5::{Digest, Md5};

use super::libraries::Needs;
use super::stage::{Content, Entry};
use super::{Error, Result};

/// Fields that `control.in` must leave to us.
const COMPUTED: [&str; 3] = ["Version", "Architecture", "Installed-Size"];

/// Completes the template `control.in`: version, architecture and size, and what the program needs
/// in front of the other dependencies.
///
/// # Errors
/// When the template is not one paragraph, has a computed field, or lacks a field the order of which
/// matters here.
pub fn control(template: &str, version: &str, needs: &Needs, tree: &[Entry]) -> Result<String> {
    let file = ControlFile::parse_str(template).map_err(|err| Error::Control(err.to_string()))?;
    let mut paragraphs = file.into_paragraphs();
    let given = paragraphs.next().ok_or_else(|| Error::Control("is empty".into()))?;
    if paragraphs.next().is_some() {
        return Err(Error::Control("has more than one paragraph".into()));
    }
    if let Some(field) = COMPUTED.iter().find(|field| given.has_field(field)) {
        return Err(Error::Control(format!("must not have {field}: it is computed")));
    }
    let mut paragraph = ControlParagraph::default();
    let mut set = |name: &str, value: String| {
        paragraph.set_field_from_string(name.to_owned().into(), value.into());
    };
    for field in given.iter_fields() {
        let value = field.value_str();
        match field.name() {
            "Package" => {
                set("Package", value.to_owned());
                set("Version", version.to_owned());
                set("Architecture", needs.architecture.to_owned());
                set("Installed-Size", installed_size(tree).to_string());
            }
            "Depends" => set("Depends", format!("{}, {value}", needs.packages.join(", "))),
            name => set(name, value.to_owned()),
        }
    }
    for needed in ["Package", "Depends", "Description"] {
        if !given.has_field(needed) {
            return Err(Error::Control(format!("has no {needed}")));
        }
    }
    Ok(paragraph.to_string())
}

/// `Installed-Size` in KiB, as deb-substvars(5) defines it: each file rounded up to whole KiB, one
/// for everything else.
pub fn installed_size(tree: &[Entry]) -> u64 {
    let size = |entry: &Entry| entry.bytes().map_or(1, |bytes| (bytes.len() as u64).div_ceil(1024));
    tree.iter().map(size).sum()
}

/// Every regular file below `/etc` is configuration (Debian policy 10.7.2): one absolute path a line.
pub fn conffiles(tree: &[Entry]) -> String {
    let lines = tree.iter().filter(|entry| is_conffile(entry)).map(|entry| format!("/{}\n", entry.path));
    lines.collect()
}

/// Whether dpkg should treat this as configuration of the administrator.
pub fn is_conffile(entry: &Entry) -> bool {
    matches!(entry.content, Content::File(_)) && entry.path.starts_with("etc/")
}

/// `md5sums`: all regular files but the conffiles, whose sums dpkg keeps elsewhere.
pub fn md5sums(tree: &[Entry]) -> String {
    let mut text = String::new();
    for entry in tree.iter().filter(|entry| !is_conffile(entry)) {
        if let Some(bytes) = entry.bytes() {
            text += &format!("{}  {}\n", md5(bytes), entry.path);
        }
    }
    text
}

/// The MD5 sum as md5sum(1) writes it.
pub fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs() -> Needs {
        Needs { architecture: "amd64", packages: vec!["libc6 (>= 2.34)".into()] }
    }

    #[test]
    fn the_template_is_completed_and_its_description_survives() {
        let template = "Package: p\nDepends: kmod\nDescription: short\n first line\n .\n second\n";
        let tree = [Entry::file("usr/sbin/p", 0o755, vec![0; 1025])];
        let text = control(template, "1.0", &needs(), &tree).unwrap();
        assert_eq!(
            text,
            "Package: p\nVersion: 1.0\nArchitecture: amd64\nInstalled-Size: 2\n\
             Depends: libc6 (>= 2.34), kmod\nDescription: short\n first line\n .\n second\n"
        );
    }

    #[test]
    fn a_template_that_sets_a_computed_field_is_refused() {
        let template = "Package: p\nVersion: 1\nDepends: kmod\nDescription: d\n";
        assert!(control(template, "1.0", &needs(), &[]).is_err());
    }

    #[test]
    fn configuration_is_listed_and_has_no_md5sum() {
        let tree = [Entry::file("etc/a", 0o644, "x"), Entry::file("usr/b", 0o644, "hello\n")];
        assert_eq!(conffiles(&tree), "/etc/a\n");
        assert_eq!(md5sums(&tree), "b1946ac92492d2347c6235b4d2611184  usr/b\n");
    }
}
