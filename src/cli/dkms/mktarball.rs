//! `dkms mktarball`: an archive of a source and its builds.

use std::path::{Path, PathBuf};

use super::archive;
use super::bring::every_build;
use super::session::{Session, shown};
use crate::apply::tarball::{Pack, Part};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Cell, ModuleId};
use crate::tree::registry;
use crate::tree::stub::is_stub;

/// The longest list of kernels that is part of a name.
const LONGEST_LIST: usize = 200;

/// What is asked for must be built, except with `--source-only`.
pub(super) fn mktarball(session: &mut Session<'_, '_>) -> Result<u8> {
    let id = session.registered_module()?;
    let without_source = is_stub(&session.engine.layout().source(&id));
    if without_source && session.asked.source_only {
        return Err(Error::new(Kind::SourceMissing, format!("there is no source of {id} here"))
            .hint("only binaries were loaded; omit --source-only"));
    }
    let cells = cells(session, &id)?;
    let part = match session.asked.binaries_only || without_source {
        true => Part::ConfOnly,
        false => Part::Source,
    };
    let file = place(session, &id, &cells);
    for cell in &cells {
        session.screen.line(format_args!("Packing the build for {}.", shown(cell)));
    }
    session.engine.pack(&Pack { id, cells, part, file: file.clone() })?;
    let location = session.engine.layout().shown(&file);
    session.screen.line(format_args!("Tarball location: {}", location.display()));
    Ok(0)
}

fn cells(session: &mut Session<'_, '_>, id: &ModuleId) -> Result<Vec<Cell>> {
    if session.asked.source_only {
        return Ok(Vec::new());
    }
    let targets = match session.asked.all {
        true => every_build(session, id),
        false => session.targets()?,
    };
    let cells: Vec<Cell> = targets.iter().map(|target| target.cell(id)).collect();
    if cells.is_empty() && session.asked.binaries_only {
        return Err(Error::new(Kind::NothingToPack, format!("{id} is not built for any kernel"))
            .hint(format!("build it first with `dkms build {id} -k KERNEL`")));
    }
    let layout = session.engine.layout();
    match cells.iter().find(|cell| !registry::is_built(layout, cell)) {
        None => Ok(cells),
        Some(cell) => Err(Error::new(Kind::NothingToPack, format!("{id} is not built for {}", shown(cell)))
            .hint(format!("build it first with `dkms build {id} -k {}`, or use --source-only", cell.kernel))),
    }
}

/// Where the archive goes: `--archive` with a slash in it is a path, without one a name.
fn place(session: &Session<'_, '_>, id: &ModuleId, cells: &[Cell]) -> PathBuf {
    let named = archive::named(session);
    let is_path = |file: &Path| file.as_os_str().as_encoded_bytes().contains(&b'/');
    if let Some(file) = named.as_ref().filter(|file| is_path(file)) {
        return file.clone();
    }
    let name = named.unwrap_or_else(|| default_name(id, cells, session.asked.source_only).into());
    session.engine.layout().version(id).join("tarball").join(name)
}

fn default_name(id: &ModuleId, cells: &[Cell], source_only: bool) -> String {
    let list: Vec<String> = cells.iter().map(|cell| format!("kernel{}-{}", cell.kernel, cell.arch)).collect();
    let list = match list.join("-") {
        _ if source_only => "source-only".to_owned(),
        list if list.len() > LONGEST_LIST => "manykernels".to_owned(),
        list => list,
    };
    format!("{}-{}-{list}.dkms.tar.gz", id.name, id.version)
}
