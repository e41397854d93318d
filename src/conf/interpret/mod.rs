//! From directives to what they mean for one kernel.

use std::path::Path;

use super::Strictness;
use super::ere;
use super::evaluation::Values;
use super::exclusive::Exclusive;
use super::model::{Conf, Context, Reader, Record, Scripts};
use super::validate;
use super::values::Directives;
use crate::model::inside::{climbs, plain};

/// Makes a [`Conf`] of evaluated directives.
///
/// # Errors
/// Every problem, one line each.
pub(super) fn conf(
    values: Values,
    reader: Reader,
    mut warnings: Vec<String>,
    ctx: &Context,
    strictness: Strictness,
) -> Result<Conf, Vec<String>> {
    let directives = Directives(&values);
    let count = validate::record_count(directives).map_err(|problem| vec![problem])?;
    let exclusive = Exclusive::new(directives, ctx, count);
    let records: Vec<Record> =
        (0..count).map(|i| record(directives, i, count, exclusive.reason(i))).collect();

    let problems = validate::problems(directives, &records, strictness);
    if !problems.is_empty() {
        return Err(problems);
    }
    match strictness {
        Strictness::Build => warnings.extend(validate::warnings(directives, &records)),
        Strictness::Other => warnings.clear(),
    }
    Ok(Conf {
        package_name: directives.plain("PACKAGE_NAME").to_owned(),
        package_version: directives.plain("PACKAGE_VERSION").to_owned(),
        records,
        make: make(directives, ctx),
        patches: patches(directives, ctx),
        // One name per element is meant; several in one element are understood all the same.
        build_depends: directives
            .elements("BUILD_DEPENDS")
            .flat_map(|(_, names)| names.split_ascii_whitespace())
            .map(str::to_owned)
            .collect(),
        build_depends_rebuild: is_yes(directives, "BUILD_DEPENDS_REBUILD"),
        autoinstall: is_yes(directives, "AUTOINSTALL"),
        no_weak_modules: is_yes(directives, "NO_WEAK_MODULES"),
        scripts: Scripts {
            pre_build: directives.some("PRE_BUILD"),
            post_build: directives.some("POST_BUILD"),
            pre_install: directives.some("PRE_INSTALL"),
            post_install: directives.some("POST_INSTALL"),
            post_remove: directives.some("POST_REMOVE"),
            post_add: directives.some("POST_ADD"),
        },
        obsolete_by: directives.some("OBSOLETE_BY"),
        warnings,
        reader,
        values,
    })
}

fn is_yes(directives: Directives<'_>, name: &str) -> bool {
    directives.plain(name).eq_ignore_ascii_case("yes")
}

fn record(directives: Directives<'_>, index: usize, count: usize, excluded: Option<String>) -> Record {
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    // Only a package of one module may leave its name away.
    let default = if count == 1 { directives.plain("PACKAGE_NAME") } else { "" };
    let built_name = or(directives.at("BUILT_MODULE_NAME", index), default);
    // It is a place in the build directory, however it begins.
    let built_location = directives.at("BUILT_MODULE_LOCATION", index).trim_start_matches('/');
    let mut built_location = match plain(Path::new(built_location)) {
        Some(plain) if climbs(Path::new(built_location)) => plain.display().to_string(),
        _ => built_location.to_owned(),
    };
    if !built_location.is_empty() && !built_location.ends_with('/') {
        built_location.push('/');
    }
    Record {
        dest_name: or(directives.at("DEST_MODULE_NAME", index), &built_name),
        built_name,
        built_location,
        dest_location: directives.at("DEST_MODULE_LOCATION", index).to_owned(),
        strip: strip(directives, index),
        excluded,
    }
}

/// `n…` is no; nothing is what module 0 says; anything else is yes.
fn strip(directives: Directives<'_>, index: usize) -> bool {
    let text = match directives.at("STRIP", index) {
        "" => directives.plain("STRIP"),
        text => text,
    };
    !text.starts_with(['n', 'N'])
}

/// MAKE[0], unless it is bound to a MAKE_MATCH; then the last command whose match fits the kernel;
/// and when there is none, the usual call of the kernel's build system.
fn make(directives: Directives<'_>, ctx: &Context) -> String {
    let mut command = match directives.plain("MAKE_MATCH") {
        "" => directives.plain("MAKE"),
        _ => "",
    };
    for (index, text) in directives.elements("MAKE").filter(|(i, _)| *i < directives.count("MAKE")) {
        let pattern = directives.at("MAKE_MATCH", index);
        if !text.is_empty() && !pattern.is_empty() && ere::found(pattern, release(ctx)) {
            command = text;
        }
    }
    if !command.is_empty() {
        return command.to_owned();
    }
    let (name, version) = match &ctx.module {
        Some(id) => (id.name.as_str(), id.version.as_str()),
        None => (directives.plain("PACKAGE_NAME"), directives.plain("PACKAGE_VERSION")),
    };
    let build = ctx.dkms_tree.join(name).join(version).join("build");
    format!("make -C {} M={}", ctx.kernel_source_dir.display(), build.display())
}

/// The kernel's release, or nothing.
fn release(ctx: &Context) -> &str {
    ctx.kernel.as_ref().map_or("", |kernel| kernel.as_str())
}

/// The patches for this kernel. As many indexes are looked at as elements are set (a hole hides the
/// last ones): packages were tested with that, and a patch never tried may not apply.
fn patches(directives: Directives<'_>, ctx: &Context) -> Vec<String> {
    directives
        .elements("PATCH")
        .filter(|(index, text)| *index < directives.count("PATCH") && !text.is_empty())
        .filter(|(index, _)| {
            let pattern = directives.at("PATCH_MATCH", *index);
            pattern.is_empty() || ere::found(pattern, release(ctx))
        })
        .map(|(_, text)| text.to_owned())
        .collect()
}

#[cfg(test)]
mod tests;
