//! All files of an index, computed: nothing here looks at the machine.

use super::builtin;
use super::dependencies::Dependencies;
use super::devname;
use super::facts::{Facts, Module, Span};
use super::hash::symbol_bucket;
use super::kmod::Kmod;
use super::names::{Named, normalize};
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
    let dependencies = Dependencies::of(kernel.facts, &modules)?;
    let index =
        Index { facts: kernel.facts, modules: &modules, dependencies: &dependencies, layout: kmod.layout() };
    // Somebody waits for it: the two largest parts at once.
    let (aliases, rest) = std::thread::scope(|scope| {
        let aliases = scope.spawn(|| index.aliases());
        let rest = || -> Result<_, Odd> {
            let builtin = builtin::names(kernel.builtin, index.layout)?;
            let builtin_aliases = builtin::aliases(kernel.builtin_modinfo, index.layout)?;
            let of_modules = modules.iter().enumerate();
            let devname = devname::file(
                of_modules.map(|(at, module)| (module, index.facts.texts(index.said(at).aliases))),
            )?;
            let symbols = index.symbols();
            Ok((index.dependencies(), symbols, builtin, builtin_aliases, devname))
        };
        let rest = rest();
        (aliases.join(), rest)
    });
    let ([dep, dep_bin], [symbols, symbols_bin], builtin, builtin_aliases, devname) = rest?;
    let [alias, alias_bin] = aliases.map_err(|_| odd("the aliases could not be computed"))?;
    let softdep =
        index.listed("# Soft dependencies extracted from modules themselves.\n", "softdep", |said| {
            said.softdeps
        });
    let weakdep =
        index.listed("# Weak dependencies extracted from modules themselves.\n", "weakdep", |said| {
            said.weakdeps
        });
    let mut files = vec![
        ("modules.dep", dep),
        ("modules.dep.bin", dep_bin),
        ("modules.alias", alias),
        ("modules.alias.bin", alias_bin),
        ("modules.softdep", softdep),
        ("modules.weakdep", weakdep),
        ("modules.symbols", symbols),
        ("modules.symbols.bin", symbols_bin),
        ("modules.builtin.bin", builtin),
        ("modules.builtin.alias.bin", builtin_aliases),
        ("modules.devname", devname),
    ];
    files.retain(|(name, _)| *name != "modules.weakdep" || kmod.has_weakdeps());
    Ok(files)
}

/// What the files are written from.
struct Index<'a> {
    facts: &'a Facts,
    /// In the order of the index.
    modules: &'a [Named<'a>],
    dependencies: &'a Dependencies,
    layout: Layout,
}

/// Keys that lie one after the other, so that thousands are no allocations of their own: where each ends, with the
/// place of its module.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<(usize, u32)>,
}

impl Keys {
    /// The entries: each key with the name and the place of its module.
    fn entries<'a>(&'a self, modules: &'a [Named<'_>]) -> Vec<Entry<'a>> {
        let mut start = 0;
        let entry = |&(end, module): &(usize, u32)| {
            let key = &self.bytes[std::mem::replace(&mut start, end)..end];
            Entry { key, value: &modules[module as usize].name, priority: module }
        };
        self.ends.iter().map(entry).collect()
    }
}

impl Index<'_> {
    fn said(&self, at: usize) -> Module {
        self.facts.modules[self.modules[at].module as usize]
    }

    /// Every text of a list, with the place and the name of its module.
    fn each(&self, of: fn(Module) -> Span) -> impl Iterator<Item = (usize, &[u8], &[u8])> {
        let all = self.modules.iter().enumerate();
        all.flat_map(move |(at, module)| {
            self.facts.texts(of(self.said(at))).map(move |text| (at, module.name.as_slice(), text))
        })
    }

    /// modules.dep and modules.dep.bin.
    fn dependencies(&self) -> [Vec<u8>; 2] {
        let mut text = Vec::new();
        let mut ends = Vec::with_capacity(self.modules.len());
        for (module, needed) in self.modules.iter().zip(&self.dependencies.needed) {
            text.extend_from_slice(module.path);
            text.push(b':');
            for &needed in needed {
                text.push(b' ');
                text.extend_from_slice(self.modules[needed as usize].path);
            }
            ends.push(text.len());
            text.push(b'\n');
        }
        let starts = [0].into_iter().chain(ends.iter().map(|end| end + 1));
        let lines = starts.zip(&ends).map(|(start, end)| &text[start..*end]);
        let entries = self.modules.iter().zip(lines).zip(0..);
        let entries = entries.map(|((module, value), priority)| Entry { key: &module.name, value, priority });
        let index = trie::file(entries.collect(), self.layout);
        [text, index]
    }

    /// modules.alias and modules.alias.bin.
    fn aliases(&self) -> [Vec<u8>; 2] {
        let mut text = b"# Aliases extracted from modules themselves.\n".to_vec();
        let mut keys = Keys::default();
        for (at, name, alias) in self.each(|said| said.aliases) {
            line(&mut text, &[b"alias ", alias, b" ", name]);
            if normalize(alias, &mut keys.bytes) {
                keys.ends.push((keys.bytes.len(), at as u32));
            }
        }
        [text, trie::file(keys.entries(self.modules), self.layout)]
    }

    /// A file of lines of one kind.
    fn listed(&self, head: &str, word: &str, of: fn(Module) -> Span) -> Vec<u8> {
        let mut text = head.as_bytes().to_vec();
        for (_, name, said) in self.each(of) {
            line(&mut text, &[word.as_bytes(), b" ", name, b" ", said]);
        }
        text
    }

    /// modules.symbols and modules.symbols.bin: who exports a symbol.
    fn symbols(&self) -> [Vec<u8>; 2] {
        let owned = self.dependencies.owners.iter().zip(0..).filter_map(|(owner, number)| {
            let name = self.facts.symbol(number);
            owner.map(|owner| (symbol_bucket(name), name, owner))
        });
        let mut owned: Vec<(u32, &[u8], u32)> = owned.collect();
        owned.sort_unstable();
        let mut text = b"# Aliases for symbols, used by symbol_request().\n".to_vec();
        let mut keys = Keys::default();
        for (_, symbol, owner) in owned {
            line(&mut text, &[b"alias symbol:", symbol, b" ", &self.modules[owner as usize].name]);
            keys.bytes.extend_from_slice(b"symbol:");
            keys.bytes.extend_from_slice(symbol);
            keys.ends.push((keys.bytes.len(), owner));
        }
        [text, trie::file(keys.entries(self.modules), self.layout)]
    }
}

/// Adds a line.
fn line(text: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| text.extend_from_slice(part));
    text.push(b'\n');
}
