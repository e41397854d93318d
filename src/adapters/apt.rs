//! What apt tells before it starts dpkg (`DPkg::Pre-Install-Pkgs` of apt.conf(5), version 3 of its protocol): its
//! settings, an empty line, and a line for each package that comes, goes, or is configured:
//!
//! ```text
//! NAME OLD ARCH MULTI < NEW ARCH MULTI /var/cache/apt/archives/NAME_NEW_ARCH.deb
//! NAME OLD ARCH MULTI > - - none **REMOVE**
//! ```
//!
//! Which packages have something to do with kernels is read from their lists of files, whatever they are called: of
//! those that come from the small part of the .deb that has the list, of those that go from dpkg's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::adapters::incoming;
use crate::fs::regular;
use crate::fs::root::Root;
use crate::machine::Machine;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::packages::{Brings, Package, Transaction};
use crate::preflight::Decision;
use crate::progress::Report;

/// Where apt would have us look for what dpkg knows.
const LISTS: &str = "/var/lib/dpkg/info";

/// The largest list of an installed package that is read, in bytes. That of a kernel's headers is 2 MiB.
const LARGEST_LIST: u64 = 32 << 20;

/// Says what the transaction means for modules, and whether it may go on.
///
/// # Errors
/// When these are no lines of apt's protocol.
pub fn incoming(machine: &Machine, lines: &[String], report: &dyn Report) -> Result<Decision> {
    let actions = Actions::parse(lines)?;
    if actions.elsewhere {
        return Ok(Decision::GoOn);
    }
    let (seen, files, unseen) = actions.look(report);
    let brought = Transaction { unseen, ..Transaction::of(&seen) };
    let leaving = actions.leaving(&machine.layout.root, &seen);
    let mut transaction = brought.without(leaving);
    let missing = transaction.kernels.keys().filter(|kernel| !transaction.headers.contains(kernel));
    let later = missing.map(|kernel| machine.distribution.headers_package(kernel.as_str(), None));
    let later: Vec<String> = later.filter(|package| actions.is_beside(package)).collect();
    transaction.unseen.extend(later);
    Ok(incoming::before(machine, &transaction, &files, report))
}

/// A package as the lines describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    name: String,
    /// The architecture of the installed version; `None` where none is installed.
    old: Option<String>,
    /// The file that it comes in.
    file: Option<PathBuf>,
}

/// What a transaction does.
#[derive(Debug, Default, PartialEq, Eq)]
struct Actions {
    /// Packages that come, each with its file.
    come: Vec<Named>,
    /// Packages that go.
    go: Vec<Named>,
    /// apt works on another system than this one.
    elsewhere: bool,
}

impl Actions {
    fn parse(lines: &[String]) -> Result<Self> {
        let wrong = |text: &str| Error::new(Kind::PackageManager, format!("apt's list of packages: {text}"));
        let mut lines = lines.iter().map(String::as_str);
        match lines.next() {
            Some("VERSION 3") => {}
            Some(other) if other.starts_with("VERSION ") => {
                return Err(wrong(&format!("{other:?} is another form than the third")));
            }
            _ => return Err(wrong("it does not begin with a version; apt calls this command, nobody else")),
        }
        let mut actions = Self::default();
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            actions.elsewhere |= matches!(name, "Dir" | "RootDir") && !matches!(value, "" | "/");
        }
        for line in lines {
            // A path may have blanks.
            let mut words = line.splitn(9, ' ');
            let mut next = || words.next().ok_or_else(|| wrong("a line is too short"));
            let (name, _, old, _) = (next()?, next()?, next()?, next()?);
            let (_, _, _, _, action) = (next()?, next()?, next()?, next()?, next()?);
            let old = (old != "-").then(|| old.to_owned());
            let mut named = Named { name: name.to_owned(), old, file: None };
            match action {
                "**REMOVE**" => actions.go.push(named),
                "**CONFIGURE**" => {}
                path => {
                    named.file = Some(PathBuf::from(path));
                    actions.come.push(named);
                }
            }
        }
        Ok(actions)
    }

    /// Looks into the packages that come: what they are, their files where they concern kernels, and those that
    /// could not be looked into. One that cannot be read and does not sound like a kernel is passed over: that it
    /// cannot be installed is for dpkg to say.
    fn look(&self, report: &dyn Report) -> (Vec<Package>, Vec<PathBuf>, BTreeSet<String>) {
        let (mut seen, mut files, mut unseen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for named in &self.come {
            let Some(path) = &named.file else { continue };
            match Package::read(path) {
                Ok(package) => {
                    if incoming::concerns_kernels(&package) {
                        files.push(path.clone());
                    }
                    seen.push(package);
                }
                Err(error) if incoming::sounds_like_a_kernel(&named.name) => {
                    incoming::unread(path, &error, report);
                    unseen.insert(named.name.clone());
                }
                Err(error) => log::info!("{}: {error}", path.display()),
            }
        }
        (seen, files, unseen)
    }

    /// True when a package of this name was downloaded together with one of these: unattended-upgrades fetches all of
    /// them, and installs them in many small transactions, headers after or before their kernel. In a repository that
    /// is a directory (`file:`, a medium) everything lies together.
    fn is_beside(&self, package: &str) -> bool {
        let dirs: BTreeSet<&Path> = self
            .come
            .iter()
            .filter_map(|named| named.file.as_deref()?.parent())
            .filter(is_of_downloads)
            .collect();
        let entries = dirs.into_iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| {
            name.strip_suffix(".deb")
                .and_then(|name| name.split_once('_'))
                .is_some_and(|(name, _)| name == package)
        })
    }

    /// Kernels whose image is in packages that go, or in old versions of packages that bring a kernel.
    fn leaving(&self, root: &Root, seen: &[Package]) -> BTreeSet<KernelRelease> {
        let brings = |named: &&Named| {
            seen.iter().any(|package| package.name == named.name && !package.brings.kernels.is_empty())
        };
        let old = self.go.iter().chain(self.come.iter().filter(brings));
        old.filter_map(|named| list(root, named)).flat_map(|list| Brings::of_list(&list).images).collect()
    }
}

/// apt's `Dir::Cache::Archives`, as everybody has it.
fn is_of_downloads(dir: &&Path) -> bool {
    dir.ends_with("archives")
}

/// dpkg's list of the files of an installed package.
fn list(root: &Root, named: &Named) -> Option<String> {
    let arch = named.old.as_ref()?;
    // Of a package that may be there for several architectures, dpkg says which.
    let names = [format!("{}:{arch}.list", named.name), format!("{}.list", named.name)];
    let read = |name: &String| regular::read_up_to(&root.path(format!("{LISTS}/{name}")), LARGEST_LIST).ok();
    names.iter().find_map(read).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Actions> {
        Actions::parse(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    // As apt 3.0.4 gives them.
    #[test]
    fn lines_say_what_comes_and_goes() {
        let text = "VERSION 3\nAPT::Architecture=amd64\nDir=/\nDir::State=var/lib/apt\n\n\
            a - - none < 1.0-1 amd64 none /var/cache/apt/archives/a_1.0-1_amd64.deb\n\
            b:i386 1.0 i386 same < 1:2.0 i386 same /srv/with blank/b.deb\n\
            c 1.0 amd64 none = 1.0 amd64 none /tmp/c.deb\n\
            d 1.0 amd64 none > - - none **REMOVE**\n\
            a - - none < 1.0-1 amd64 none **CONFIGURE**\n";
        let named = |name: &str, old: Option<&str>, file: Option<&str>| Named {
            name: name.into(),
            old: old.map(str::to_owned),
            file: file.map(PathBuf::from),
        };
        let come = vec![
            named("a", None, Some("/var/cache/apt/archives/a_1.0-1_amd64.deb")),
            named("b:i386", Some("i386"), Some("/srv/with blank/b.deb")),
            named("c", Some("amd64"), Some("/tmp/c.deb")),
        ];
        let go = vec![named("d", Some("amd64"), None)];
        assert_eq!(parsed(text).unwrap(), Actions { come, go, elsewhere: false });
    }

    #[test]
    fn another_system_is_none_of_ours() {
        for (setting, elsewhere) in [
            ("Dir=/", false),
            ("RootDir=", false),
            ("RootDir=/mnt", true),
            ("Dir=/mnt/", true),
            ("Dir", false),
        ] {
            let actions = parsed(&format!("VERSION 3\n{setting}\n\n")).unwrap();
            assert_eq!(actions.elsewhere, elsewhere, "{setting}");
        }
    }

    #[test]
    fn what_is_no_list_of_packages_is_told() {
        for text in ["", "VERSION 2\n\na - < 1 /a.deb", "/a.deb", "VERSION 3\n\na - - none < 1.0"] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
    }
}
