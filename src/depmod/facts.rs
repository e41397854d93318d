//! What all modules of a kernel say, kept so that the index of thousands is computed in milliseconds: each symbol
//! is there once and has a number.

use std::collections::HashMap;
use std::ops::Range;

use super::module::{Said, each};

/// A part of one of the tables of [`Facts`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn length(self) -> u32 {
        self.end - self.start
    }
}

/// What one module says, as parts of tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Module {
    /// Numbers of symbols.
    pub(super) exports: Span,
    /// Numbers of symbols, in the order of the file.
    pub(super) imports: Span,
    /// Texts, each followed by NUL; as are the others.
    pub(super) aliases: Span,
    pub(super) softdeps: Span,
    pub(super) weakdeps: Span,
}

/// The tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The names of symbols, one after the other.
    pub(super) names: Vec<u8>,
    /// Where each name ends.
    pub(super) ends: Vec<u32>,
    /// Lists of numbers of symbols.
    pub(super) numbers: Vec<u32>,
    /// Lists of texts.
    pub(super) texts: Vec<u8>,
    pub(super) modules: Vec<Module>,
}

impl Facts {
    /// How many symbols there are.
    pub(super) fn symbols(&self) -> usize {
        self.ends.len()
    }

    /// The name of a symbol.
    pub(super) fn symbol(&self, number: u32) -> &[u8] {
        let at = number as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.names[start..self.ends[at] as usize]
    }

    /// A list of numbers of symbols.
    pub(super) fn numbers(&self, span: Span) -> &[u32] {
        &self.numbers[span.range()]
    }

    /// A list of texts.
    pub(super) fn texts(&self, span: Span) -> impl Iterator<Item = &[u8]> {
        each(&self.texts[span.range()])
    }
}

/// Adds modules to the tables.
pub(super) struct Adding<'a> {
    facts: &'a mut Facts,
    /// The number of each name.
    by_name: HashMap<Box<[u8]>, u32>,
}

impl<'a> Adding<'a> {
    pub(super) fn to(facts: &'a mut Facts) -> Self {
        let numbers = 0..facts.symbols() as u32;
        let by_name = numbers.map(|number| (facts.symbol(number).into(), number)).collect();
        Self { facts, by_name }
    }

    /// Adds what a module says; returns the module's number.
    pub(super) fn add(&mut self, said: &Said) -> u32 {
        let exports = self.numbered(said.exports.iter());
        let imports = self.numbered(said.imports.iter());
        let [aliases, softdeps, weakdeps] =
            [&said.aliases, &said.softdeps, &said.weakdeps].map(|texts| self.texts(texts.bytes()));
        self.facts.modules.push(Module { exports, imports, aliases, softdeps, weakdeps });
        self.facts.modules.len() as u32 - 1
    }

    fn numbered<'n>(&mut self, names: impl Iterator<Item = &'n [u8]>) -> Span {
        let start = self.facts.numbers.len() as u32;
        for name in names {
            let number = self.number(name);
            self.facts.numbers.push(number);
        }
        Span { start, end: self.facts.numbers.len() as u32 }
    }

    fn number(&mut self, name: &[u8]) -> u32 {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let number = self.facts.symbols() as u32;
        self.facts.names.extend(name);
        self.facts.ends.push(self.facts.names.len() as u32);
        self.by_name.insert(name.into(), number);
        number
    }

    fn texts(&mut self, texts: &[u8]) -> Span {
        let start = self.facts.texts.len() as u32;
        self.facts.texts.extend(texts);
        Span { start, end: self.facts.texts.len() as u32 }
    }
}
