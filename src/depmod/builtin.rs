//! What is built into the kernel: the two index files about it.

use super::names::{name, normalize};
use super::odd::{Odd, odd};
use super::trie::{self, Entry, Layout};

/// The index of the names of what is built in; empty where the kernel does not say.
///
/// # Errors
/// When the list is unusual.
pub(super) fn names(list: Option<&[u8]>, layout: Layout) -> Result<Vec<u8>, Odd> {
    let Some(list) = list else { return Ok(Vec::new()) };
    // What names no module file, depmod takes with the end of its line.
    let lines: Vec<&[u8]> = list.split_inclusive(|&byte| byte == b'\n').collect();
    if !list.is_ascii() || !lines.iter().all(|line| line.ends_with(b".ko\n")) {
        return Err(odd("it is not a list of modules").of("modules.builtin"));
    }
    let names: Vec<Vec<u8>> = lines.into_iter().map(name).collect();
    Ok(trie::file(names.iter().map(|name| Entry { key: name, value: b"", priority: 0 }).collect(), layout))
}

/// The index of the aliases of what is built in; empty where the kernel does not say.
///
/// # Errors
/// When what it says is unusual.
pub(super) fn aliases(modinfo: Option<&[u8]>, layout: Layout) -> Result<Vec<u8>, Odd> {
    let Some(modinfo) = modinfo else { return Ok(Vec::new()) };
    let unusual = || odd("it is not what the kernel's build makes").of("modules.builtin.modinfo");
    if !modinfo.is_ascii() || !modinfo.is_empty() && !modinfo.ends_with(&[0]) {
        return Err(unusual());
    }
    let mut found = Vec::new();
    for text in modinfo.split(|&byte| byte == 0).filter(|text| !text.is_empty()) {
        // MODULE.KEY=VALUE
        let dot = text.iter().position(|&byte| byte == b'.').ok_or_else(unusual)?;
        let (module, rest) = (&text[..dot], &text[dot + 1..]);
        let equals = rest.iter().position(|&byte| byte == b'=').ok_or_else(unusual)?;
        if module.is_empty() || module.contains(&b'=') || text.len() > 1000 {
            return Err(unusual());
        }
        let mut alias = Vec::new();
        if &rest[..equals] == b"alias" && normalize(&rest[equals + 1..], &mut alias) && !alias.is_empty() {
            found.push((alias, module));
        }
    }
    let entries = found.iter().map(|(alias, module)| Entry { key: alias, value: module, priority: 0 });
    Ok(trie::file(entries.collect(), layout))
}
