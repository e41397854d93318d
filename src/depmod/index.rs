//! All files of an index, computed: nothing here looks at the machine.

use super::builtin;
use super::dependencies::Dependencies;
use super::devname;
use super::facts::{Facts, Module, Span};
use super::hash::symbol_bucket;
use super::kmod::Kmod;
use super::names::{Named, normalized};
use super::odd::{Odd, odd};
use super::order;
use super::trie::{self, Entry, Layout};

/// What an index is computed from.
pub struct Kernel<'a> {
    /// What its modules say.
    pub facts: &'a Facts,
    /// The files that count, one for each name of a module: path below the kernel's directory (or an absolute one),
    /// and the number of what it says.
    pub files: &'a [(&'a [u8], u32)],
    /// modules.order; `None` where there is none. The same for the others.
    pub order: Option<&'a [u8]>,
    /// modules.builtin.
    pub builtin: Option<&'a [u8]>,
    /// modules.builtin.modinfo.
    pub builtin_modinfo: Option<&'a [u8]>,
}

/// A file of the index: its name and its content.
pub type File = (&'static str, Vec<u8>);

/// The files that depmod(8) of this kmod would write, in its order.
///
/// # Errors
/// When something is not as usual.
pub fn compute(kernel: &Kernel<'_>, kmod: Kmod) -> Result<Vec<File>, Odd> {
    let facts = kernel.facts;
    let layout = kmod.layout();
    let mut modules: Vec<Named<'_>> =
        kernel.files.iter().map(|(path, module)| Named::of(path, *module)).collect();
    for module in &modules {
        // Names become keys, which have to be ASCII; and lines.
        let plain = |byte: &u8| byte.is_ascii_graphic();
        if module.name.is_empty() || module.path.len() > 1000 || !module.path.iter().all(plain) {
            return Err(odd("its name is unusual").of(String::from_utf8_lossy(module.path)));
        }
    }
    order::sort(&mut modules, kernel.order, kmod.twice())?;
    let dependencies = Dependencies::of(facts, &modules)?;
    let said = |at: usize| facts.modules[modules[at].module as usize];
    let lines = lines(&modules, &dependencies);
    let mut files = vec![("modules.dep", text("", lines.iter().map(|line| [line, &b"\n"[..]].concat())))];
    let entries = modules.iter().zip(&lines).zip(0..);
    let entries =
        entries.map(|((module, line), priority)| Entry { key: &module.name, value: line, priority });
    files.push(("modules.dep.bin", trie::file(entries.collect(), layout)));
    drop(lines);

    let each = |of: fn(Module) -> Span| {
        let all = modules.iter().enumerate();
        all.flat_map(move |(at, module)| facts.texts(of(said(at))).map(move |text| (at, module, text)))
    };
    let listed = |word: &'static str, of: fn(Module) -> Span| {
        each(of)
            .map(move |(_, module, text)| [word.as_bytes(), b" ", &module.name, b" ", text, b"\n"].concat())
    };
    let aliases = each(|said| said.aliases);
    let aliases =
        aliases.map(|(_, module, alias)| [b"alias ", alias, b" ", &module.name[..], b"\n"].concat());
    files.push(("modules.alias", text("# Aliases extracted from modules themselves.\n", aliases)));
    files.push(("modules.alias.bin", {
        let keys: Vec<_> = each(|said| said.aliases)
            .filter_map(|(at, module, alias)| Some((normalized(alias)?, &module.name, at as u32)))
            .collect();
        let entries = keys.iter().map(|(key, value, priority)| Entry { key, value, priority: *priority });
        trie::file(entries.collect(), layout)
    }));
    let softdeps = listed("softdep", |said| said.softdeps);
    files.push((
        "modules.softdep",
        text("# Soft dependencies extracted from modules themselves.\n", softdeps),
    ));
    if kmod.has_weakdeps() {
        let weakdeps = listed("weakdep", |said| said.weakdeps);
        files.push((
            "modules.weakdep",
            text("# Weak dependencies extracted from modules themselves.\n", weakdeps),
        ));
    }
    files.extend(symbols(facts, &modules, &dependencies, layout));
    files.push(("modules.builtin.bin", builtin::names(kernel.builtin, layout)?));
    files.push(("modules.builtin.alias.bin", builtin::aliases(kernel.builtin_modinfo, layout)?));
    let aliases = modules.iter().enumerate().map(|(at, module)| (module, facts.texts(said(at).aliases)));
    files.push(("modules.devname", devname::file(aliases)?));
    Ok(files)
}

/// The lines of modules.dep.
fn lines(modules: &[Named<'_>], dependencies: &Dependencies) -> Vec<Vec<u8>> {
    let line = |(module, needed): (&Named<'_>, &Vec<u32>)| {
        let mut line = module.path.to_vec();
        line.push(b':');
        for &needed in needed {
            line.push(b' ');
            line.extend(modules[needed as usize].path);
        }
        line
    };
    modules.iter().zip(&dependencies.needed).map(line).collect()
}

fn text(head: &str, lines: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut text = head.as_bytes().to_vec();
    lines.for_each(|line| text.extend(line));
    text
}

/// The two files that say who exports a symbol.
fn symbols(facts: &Facts, modules: &[Named<'_>], dependencies: &Dependencies, layout: Layout) -> [File; 2] {
    let owned = dependencies.owners.iter().zip(0..).filter_map(|(owner, number)| {
        let name = facts.symbol(number);
        owner.map(|owner| (symbol_bucket(name), name, owner))
    });
    let mut owned: Vec<(u32, &[u8], u32)> = owned.collect();
    owned.sort_unstable();
    let mut text = b"# Aliases for symbols, used by symbol_request().\n".to_vec();
    let mut keys = Vec::with_capacity(owned.len());
    for (_, name, owner) in &owned {
        let key = [b"symbol:", *name].concat();
        text.extend([b"alias ", &key[..], b" ", &modules[*owner as usize].name, b"\n"].concat());
        keys.push(key);
    }
    let entries = keys.iter().zip(&owned);
    let entries = entries.map(|(key, (_, _, owner))| Entry {
        key,
        value: &modules[*owner as usize].name,
        priority: *owner,
    });
    [("modules.symbols", text), ("modules.symbols.bin", trie::file(entries.collect(), layout))]
}
