//! What the commands of a build see, and the tools that sign its result.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::apply::sign::Environment;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::Cell;
use crate::process::{Process, QUERY_LIMIT};
use crate::tree::layout::Layout;

/// Variables of the shell that evaluates `build_environment` which say nothing about builds.
const SHELL_OWN: [&str; 5] = ["_", "PWD", "OLDPWD", "SHLVL", crate::process::PARENT_VARIABLE];

/// What DKMS exports, `more` (the toolchain), and the file `build_environment`.
///
/// # Errors
/// When bash cannot evaluate the file that `build_environment` names.
pub fn environment(
    layout: &Layout,
    build_environment: Option<&Path>,
    cell: &Cell,
    more: Environment,
) -> Result<Environment> {
    let mut vars: Environment = [
        ("module", cell.module.name.as_str()),
        ("module_version", cell.module.version.as_str()),
        ("kernelver", cell.kernel.as_str()),
        ("arch", cell.arch.as_str()),
    ]
    .map(|(name, value)| (name.into(), Some(value.into())))
    .into();
    vars.extend(more);
    if let Some(file) = build_environment {
        let file = layout.root.path(file);
        if file.is_file() {
            vars = sourced(layout, &file, vars)?;
        }
    }
    Ok(vars)
}

/// Everything that is exported after bash has sourced `file`.
fn sourced(layout: &Layout, file: &Path, mut vars: Environment) -> Result<Environment> {
    let process = Process::bash("source \"$1\" >/dev/null 2>&1; exec env -0")
        .arg("bash")
        .arg(file)
        .with_clean_environment()
        .envs(&vars)
        .limit(QUERY_LIMIT);
    let got = process.capture().map_err(|e| Error::new(Kind::BuildEnvironment, e.to_string()))?;
    if got.status != 0 {
        let what = format!(
            "bash could not evaluate {} (build_environment in framework.conf): exit status {}",
            layout.shown(file).display(),
            got.status
        );
        return Err(Error::new(Kind::BuildEnvironment, what));
    }
    for entry in got.stdout.split(|&b| b == 0) {
        let Some(equals) = entry.iter().position(|&b| b == b'=') else { continue };
        let name = OsStr::from_bytes(&entry[..equals]);
        if !SHELL_OWN.iter().any(|own| name == *own) {
            vars.push((name.to_owned(), Some(OsStr::from_bytes(&entry[equals + 1..]).to_owned())));
        }
    }
    Ok(vars)
}
