//! What freshly built modules use of their kernel: written down where the kernel has no symbol versions, so that a
//! later run can say whether the build fits other headers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Job;
use super::workspace::Workspace;
use crate::btf::{self, RULES};
use crate::elf;
use crate::fs::regular;
use crate::kernel::{self, Exports, KernelConfig};
use crate::model::uses::{ModuleUses, UsedHeader, Uses};

/// Of these modules, each with the name that it is installed by, before their debugging information goes. `None`
/// where the kernel does not need it, or something is missing: then nothing will be known of the build.
pub(super) fn of(job: &Job<'_>, work: &Workspace, modules: &[(String, PathBuf)]) -> Option<Uses> {
    let (headers, config) = (&job.context.kernel_source_dir, &job.context.kernel_config);
    if KernelConfig::of(config, headers).ok()?.is_set("CONFIG_MODVERSIONS")
        || !headers.join("vmlinux").is_file()
    {
        return None;
    }
    match describe(job, work, modules) {
        Ok(modules) => {
            let configuration = kernel::configuration(config).ok()?;
            Some(Uses { rules: RULES, configuration, modules })
        }
        Err(why) => {
            log::info!("{} will not be compared with other headers: {why}", job.cell.module);
            None
        }
    }
}

fn describe(
    job: &Job<'_>,
    work: &Workspace,
    modules: &[(String, PathBuf)],
) -> Result<Vec<ModuleUses>, String> {
    let headers = &job.context.kernel_source_dir;
    let mut own = Vec::new();
    for (name, path) in modules {
        let types =
            kernel::types_of_build(path).ok_or_else(|| format!("nothing says which types {name} uses"))?;
        own.push((name, path, types));
    }
    let said = |error: std::io::Error| error.to_string();
    let of_kernel = kernel::kernel_types(headers, &job.layout.kernel(&job.cell.kernel)).map_err(said)?;
    let exports = Exports::read(&headers.join("Module.symvers")).map_err(said)?;
    let included = kernel::included(&work.dir, &work.seen, headers);
    let mut out = Vec::new();
    for (name, path, types) in own {
        let imports = elf::imports(path).map_err(|error| error.to_string())?;
        let exported = |symbol: &String| Some((symbol.clone(), exports.get(symbol)?.clone()));
        let imports: BTreeMap<_, _> = imports.undefined.iter().filter_map(exported).collect();
        let described = btf::uses(name, types, &imports, &of_kernel);
        let (mut uses, unknown) = described.map_err(|error| error.to_string())?;
        uses.headers = declaring(job, &unknown, &included)?;
        out.push(uses);
    }
    Ok(out)
}

/// The headers that declare these types. Those that none of them declares are the module's own.
fn declaring(
    job: &Job<'_>,
    names: &BTreeSet<String>,
    included: &BTreeSet<PathBuf>,
) -> Result<Vec<UsedHeader>, String> {
    let mut out = Vec::new();
    for path in included {
        let text = regular::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let types = kernel::declared(&String::from_utf8_lossy(&text), names);
        if types.is_empty() {
            continue;
        }
        let digest = kernel::text_digest(path).map_err(|error| error.to_string())?;
        let file = job.layout.root.inside(path).display().to_string();
        out.push(UsedHeader { file, digest, types: types.into_iter().map(str::to_owned).collect() });
    }
    Ok(out)
}
