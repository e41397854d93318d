//! `package STAGE SOURCES OUTPUT`: makes a Debian package of the staged tree and checks it.
//!
//! SOURCES is the directory with `control.in`, `triggers` and the maintainer scripts. The package is
//! dated by `SOURCE_DATE_EPOCH`. Called by `make deb`; its only output on stdout is the path.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dkms_hook::packaging::read::Package;
use dkms_hook::packaging::{check, control, dpkg, libraries, stage, stage::Entry, write};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [tree, sources, output] = arguments.as_slice() else {
        eprintln!("usage: package STAGE SOURCES OUTPUT");
        return ExitCode::from(2);
    };
    match make(tree, sources, output) {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(err) => {
            eprintln!("package: {err}");
            ExitCode::FAILURE
        }
    }
}

fn make(tree: &Path, sources: &Path, output: &Path) -> Result<PathBuf, Failure> {
    let mtime = std::env::var("SOURCE_DATE_EPOCH")
        .map_err(|_| "SOURCE_DATE_EPOCH is not set: the date of the package (seconds since 1970)")?
        .parse()?;
    let tree = stage::collect(tree)?;
    let program = tree
        .iter()
        .find(|entry| entry.path == "usr/sbin/dkms-hook")
        .and_then(Entry::bytes)
        .ok_or("the staged tree has no /usr/sbin/dkms-hook")?;
    let needs = libraries::needs(program)?;
    let template = read(&sources.join("control.in"))?;
    let members = [
        Entry::file("conffiles", 0o644, control::conffiles(&tree)),
        Entry::file("control", 0o644, control::control(&template, env!("CARGO_PKG_VERSION"), &needs, &tree)?),
        Entry::file("md5sums", 0o644, control::md5sums(&tree)),
        Entry::file("postinst", 0o755, read(&sources.join("postinst"))?),
        Entry::file("postrm", 0o755, read(&sources.join("postrm"))?),
        Entry::file("triggers", 0o644, read(&sources.join("triggers"))?),
    ];
    let bytes = write::deb(&members, &tree, mtime)?;

    let package = Package::parse(&bytes)?;
    let mut problems = check::problems(&package);
    let name = check::file_name(&package).ok_or("the control file has no name or version")?;
    std::fs::create_dir_all(output)?;
    let part = output.join(format!(".{name}.part"));
    std::fs::write(&part, &bytes)?;
    match dpkg::problems(&part, &package)? {
        Some(more) => problems.extend(more),
        None => eprintln!("package: no dpkg-deb here for a second opinion"),
    }
    if !problems.is_empty() {
        std::fs::remove_file(&part)?;
        return Err(problems.join("\npackage: ").into());
    }
    let path = output.join(name);
    std::fs::rename(&part, &path)?;
    Ok(path)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|err| format!("cannot read {}: {err}", path.display()).into())
}
