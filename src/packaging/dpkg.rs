//! A second opinion on a package from dpkg itself, where it is installed.

use std::path::Path;
use std::process::Command;

use super::read::Package;
use super::{Error, Result};

/// What dpkg-deb sees differently in the package at `path`; `None` when this machine has no dpkg-deb.
///
/// # Errors
/// When dpkg-deb refuses the package.
pub fn problems(path: &Path, package: &Package) -> Result<Option<Vec<String>>> {
    let Some(fields) = dpkg_deb("--field", path)? else { return Ok(None) };
    let Some(contents) = dpkg_deb("--contents", path)? else { return Ok(None) };
    let mut found = Vec::new();
    // dpkg puts the fields in an order of its own.
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    if sorted(&fields) != sorted(package.member("control").unwrap_or_default()) {
        found.push(format!("dpkg-deb reads another control file:\n{fields}"));
    }
    // "-rw-r--r-- root/root SIZE DATE TIME ./path", links with " -> target" after it.
    let listed: Vec<_> = contents
        .lines()
        .filter_map(|line| line.split_once(" ./").map(|(_, path)| path))
        .map(|path| path.split_once(" -> ").map_or(path, |(path, _)| path).trim_end_matches('/'))
        .collect();
    let ours: Vec<_> = package.tree.iter().map(|packed| packed.entry.path.as_str()).collect();
    if listed != ours {
        found.push(format!("dpkg-deb lists other files:\n{contents}"));
    }
    Ok(Some(found))
}

fn dpkg_deb(action: &str, path: &Path) -> Result<Option<String>> {
    match Command::new("dpkg-deb").arg(action).arg(path).env("LC_ALL", "C").output() {
        Ok(output) if output.status.success() => {
            Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
        }
        Ok(output) => Err(Error::Package(format!(
            "is refused by dpkg-deb {action}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(Error::io("run", Path::new("dpkg-deb"))(err)),
    }
}
