//! What make left behind, checked.

use std::path::{Path, PathBuf};

use super::workspace::Workspace;
use super::{Failure, Job, last_look};
use crate::conf::model::Record;
use crate::elf::{self, Compression};
use crate::fs::beneath::open_file;
use crate::fs::regular;
use crate::model::error::Kind;

/// The name of the build directory, as its commands see it.
const BUILD: &str = "build";

/// The records that this kernel gets, with their indices.
pub(super) fn wanted<'a>(job: &Job<'a>) -> impl Iterator<Item = (usize, &'a Record)> {
    job.conf.records.iter().enumerate().filter(|(_, record)| record.excluded.is_none())
}

pub(super) fn built_path(work: &Workspace, record: &Record) -> PathBuf {
    work.dir.join(built_name(record))
}

/// By its path in the build directory. DKMS puts one behind the other, so a location may begin with a slash; and there
/// are those that lead out of the directory and back, by its name (`../build/`). One that does not come back is left for
/// whoever opens it to refuse.
pub(super) fn built_name(record: &Record) -> String {
    let written = format!("{}{}.ko", record.built_location, record.built_name);
    let written = written.trim_start_matches('/');
    let mut parts = vec![BUILD];
    for part in written.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." if parts.pop().is_none() => return written.to_owned(),
            ".." => {}
            part => parts.push(part),
        }
    }
    match parts.split_first() {
        Some((&BUILD, inside)) => inside.join("/"),
        _ => written.to_owned(),
    }
}

/// The modules as make left them, each with the name that it gets.
pub(super) fn built(job: &Job<'_>, work: &Workspace) -> Vec<(String, PathBuf)> {
    wanted(job).map(|(_, record)| (record.dest_name.clone(), built_path(work, record))).collect()
}

/// Every module that dkms.conf names must have been built, and for this kernel.
pub(super) fn check(job: &Job<'_>, work: &Workspace) -> Result<(), Failure> {
    for (_, record) in wanted(job) {
        let path = built_path(work, record);
        let name = built_name(record);
        if let Err(error) = open_file(&work.dir, Path::new(&name)) {
            let what = match error.kind() {
                std::io::ErrorKind::NotFound => format!("make succeeded, but built no {name}"),
                _ => format!("make succeeded, but built no {name} that can be taken: {error}"),
            };
            let hint = "check BUILT_MODULE_NAME and BUILT_MODULE_LOCATION in dkms.conf against the log";
            return Err(Failure::new(Kind::ModuleNotBuilt, what).hint(hint));
        }
        if record.dest_name.is_empty() || record.dest_name.contains('/') {
            let what = format!("DEST_MODULE_NAME {:?} of {name} is not a file name", record.dest_name);
            return Err(Failure::new(Kind::ConfInvalid, what));
        }
        let info = match elf::modinfo(&path) {
            Ok(info) => info,
            Err(error) => {
                return Err(Failure::new(
                    Kind::ModuleNotBuilt,
                    format!("{name}, as built by make, cannot be used: {error}"),
                ));
            }
        };
        let whole =
            regular::read_module(&path).map_err(|e| e.to_string()).and_then(|bytes| elf::check_whole(&bytes));
        if let Err(why) = whole {
            let what = format!("{name}, as built by make, cannot be used: {why}");
            return Err(Failure::new(Kind::ModuleNotBuilt, what));
        }
        let kernel = job.cell.kernel.as_str();
        if info.kernel() != Some(kernel) {
            let found = info.kernel().map_or("no kernel at all".to_owned(), |k| format!("kernel {k}"));
            let what = format!("{name} was built for {found}, not for {kernel}; the kernel would refuse it");
            let hint = "the module's Makefile probably reads the release of the running kernel from /proc \
                        instead of using KERNELRELEASE or $kernel_source_dir (during a build, \
                        `uname -r` gives the right one)";
            return Err(Failure::new(Kind::ModuleNotBuilt, what).hint(hint));
        }
    }
    Ok(())
}

/// The finished modules in the cell, in record order.
pub(super) fn list(job: &Job<'_>, dir: &Path, kind: Compression) -> Result<Vec<super::BuiltModule>, Failure> {
    let scripted = job.conf.scripts.post_build.is_some();
    let modules = wanted(job).map(|(record, wanted)| {
        let file = format!("{}{}", wanted.dest_name, kind.suffix());
        let path = dir.join("module").join(&file);
        // POST_BUILD may have taken it away, or changed it.
        std::fs::metadata(&path).map_err(|e| Failure::io(job, "read", &path, &e))?;
        if scripted && let Err(why) = last_look::of_kernel(&path, kind, job.cell.kernel.as_str()) {
            let what = format!("POST_BUILD left a {file} that cannot be used: {why}");
            return Err(Failure::new(Kind::ModuleNotBuilt, what).hint("mend that script, or its package"));
        }
        Ok(super::BuiltModule { record, file })
    });
    modules.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_that_comes_back_is_one_in_the_build_directory() {
        for (location, expected) in [
            ("", "m.ko"),
            ("src/", "src/m.ko"),
            ("/src//./", "src/m.ko"),
            ("../build/", "m.ko"),
            ("../build/src/../part/", "part/m.ko"),
            ("../source/", "../source/m.ko"),
            ("../../", "../../m.ko"),
            ("../../../../etc/", "../../../../etc/m.ko"),
        ] {
            let record = Record {
                built_name: "m".into(),
                built_location: location.into(),
                dest_name: "m".into(),
                dest_location: String::new(),
                strip: true,
                excluded: None,
            };
            assert_eq!(built_name(&record), expected, "{location}");
        }
    }
}
