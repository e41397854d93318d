//! BUILD_EXCLUSIVE_*: for which kernels a module is built at all.
//!
//! A plain directive and its element 0 are the same variable, so element 0 constrains every module;
//! element i constrains module i in addition.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::ere;
use super::model::{Context, own_config};
use super::values::{Directives, written};
use crate::fs::regular;
use crate::model::version;

/// The constraints of one conf against one kernel.
pub(super) struct Exclusive<'a> {
    directives: Directives<'a>,
    ctx: &'a Context,
    /// OBSOLETE_BY, where it stands in for BUILD_EXCLUSIVE_KERNEL_MAX.
    obsolete_by: Option<&'a str>,
    options: OnceCell<Option<BTreeSet<String>>>,
}

impl<'a> Exclusive<'a> {
    /// `records` is the number of modules of the package.
    pub fn new(directives: Directives<'a>, ctx: &'a Context, records: usize) -> Self {
        let obsolete_by = Some(directives.plain("OBSOLETE_BY")).filter(|by| {
            !by.is_empty()
                && (0..records.max(1)).all(|i| directives.at("BUILD_EXCLUSIVE_KERNEL_MAX", i).is_empty())
        });
        Self { directives, ctx, obsolete_by, options: OnceCell::new() }
    }

    /// Why module `index` is left out, in words that follow "because".
    pub fn reason(&self, index: usize) -> Option<String> {
        let global = self.reason_at(0);
        if global.is_some() || index == 0 { global } else { self.reason_at(index) }
    }

    fn reason_at(&self, index: usize) -> Option<String> {
        // Where nobody knows the kernel nothing is left out for it.
        let kernel = self.ctx.kernel.as_ref()?.as_str();
        let get = |name: &str| {
            let value = self.directives.at(name, index);
            (!value.is_empty()).then(|| (written(name, index), value))
        };
        if let Some((name, wanted)) = get("BUILD_EXCLUSIVE_KERNEL").filter(|(_, w)| !ere::found(w, kernel)) {
            return Some(format!("{name} requires a kernel that matches `{wanted}`; {kernel} does not"));
        }
        if let Some((name, least)) = get("BUILD_EXCLUSIVE_KERNEL_MIN")
            .filter(|(_, least)| version::compare(kernel, least) == Ordering::Less)
        {
            return Some(format!("{name} requires kernel {least} or newer; this is {kernel}"));
        }
        let max = get("BUILD_EXCLUSIVE_KERNEL_MAX")
            .or_else(|| self.obsolete_by.filter(|_| index == 0).map(|by| ("OBSOLETE_BY".to_owned(), by)));
        if let Some((name, most)) =
            max.filter(|(_, most)| version::compare(kernel, most) == Ordering::Greater)
        {
            return Some(format!("{name} requires a kernel no newer than {most}; this is {kernel}"));
        }
        let arch = self.ctx.arch.as_str();
        if let Some((name, wanted)) = get("BUILD_EXCLUSIVE_ARCH").filter(|(_, w)| !ere::found(w, arch)) {
            return Some(format!("{name} requires an architecture that matches `{wanted}`; {arch} does not"));
        }
        let (name, wanted) = get("BUILD_EXCLUSIVE_CONFIG")?;
        self.config_reason(&name, wanted)
    }

    fn config_reason(&self, name: &str, wanted: &str) -> Option<String> {
        let options = self.options.get_or_init(|| enabled(self.ctx)).as_ref()?;
        wanted.split_ascii_whitespace().find_map(|word| match word.strip_prefix('!') {
            Some(unwanted) if options.contains(unwanted) => Some(format!(
                "{name} requires that {unwanted} is not set; this kernel's configuration sets \
                              it"
            )),
            None if !options.contains(word) => {
                Some(format!("{name} requires {word}; this kernel's configuration does not set it"))
            }
            _ => None,
        })
    }
}

/// The options that the kernel was configured with (`=y` or `=m`); none when there is no
/// configuration to look at, and then nothing is checked.
fn enabled(ctx: &Context) -> Option<BTreeSet<String>> {
    if !ctx.kernel_config.exists() {
        return None;
    }
    let text = match regular::read(&ctx.kernel_config) {
        Ok(text) => text,
        Err(err) => {
            log::warn!("cannot read {}: {err}", ctx.kernel_config.display());
            return None;
        }
    };
    let given = options(&String::from_utf8_lossy(&text));
    let own = own_config(&ctx.kernel_source_dir);
    // A person may give a part of one.
    let mut all = match own == ctx.kernel_config {
        true => BTreeMap::new(),
        false => options(&String::from_utf8_lossy(&regular::read(&own).unwrap_or_default())),
    };
    all.extend(given);
    Some(all.into_iter().filter(|(_, enabled)| *enabled).map(|(option, _)| option).collect())
}

/// The options that a configuration mentions, and whether each is enabled.
fn options(text: &str) -> BTreeMap<String, bool> {
    let option = |line: &str| match line.strip_prefix("# ") {
        Some(rest) => Some((rest.strip_suffix(" is not set")?.to_owned(), false)),
        None => {
            let (option, value) = line.split_once('=')?;
            Some((option.to_owned(), value.starts_with(['y', 'm'])))
        }
    };
    text.lines().filter_map(option).collect()
}
