//! The source of a module version: which one a dkms.conf names, and registering it by name.

use super::session::Session;
use crate::cli::engine::Target;
use crate::conf::model::Conf;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::ModuleId;
use crate::tree::registry;

/// The module version that a dkms.conf names. `shown` says where it is.
pub(super) fn id_of(conf: &Conf, shown: &str) -> Result<ModuleId> {
    let bad = |why: String| {
        Error::new(
            Kind::UnusableName,
            format!(
                "the dkms.conf of {shown} does not name a usable module: \
                                                {why}"
            ),
        )
        .hint("correct PACKAGE_NAME and PACKAGE_VERSION in it")
    };
    let id = ModuleId::new(conf.package_name.as_str(), conf.package_version.as_str())
        .map_err(|error| bad(error.to_string()))?;
    // Names that have a meaning of their own in the module tree.
    let (name, version) = (id.name.as_str(), id.version.as_str());
    if name.starts_with('.') || !registry::is_version_name(version) {
        return Err(bad(format!("{id} would be ambiguous")));
    }
    Ok(id)
}

/// Registers `S/m-v`.
pub(super) fn add_by_name(
    session: &mut Session<'_, '_>,
    id: &ModuleId,
    target: Option<&Target>,
) -> Result<()> {
    let layout = session.engine.layout();
    let inside = layout.source_inside(id);
    // A link that leads out of the root leads nowhere in there.
    let Some(source) = layout.root.resolve(&inside).ok().filter(|source| source.is_dir()) else {
        let shown = inside.display();
        return Err(Error::new(
            Kind::SourceMissing,
            format!("cannot add {id}: there is no directory {shown}"),
        )
        .hint("install the package with the source, or give the path of a directory with a dkms.conf"));
    };
    session.engine.add_source(&source, id, target, &session.asked.options)
}
