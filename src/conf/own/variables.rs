//! The variables while a conf is read, and the value of a word.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::super::question::Place;
use super::syntax::{Alternative, Assignment, Piece, Value};

/// An element with the place that set it; none where it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub bytes: Vec<u8>,
    pub place: Option<Place>,
}

/// All variables are arrays; a plain one is element 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    values: BTreeMap<String, BTreeMap<usize, Element>>,
    /// Names of which we know whether they are set. Of any other, only bash knows.
    known: BTreeSet<String>,
    /// Bytes that expansions have produced so far.
    spent: Cell<usize>,
}

/// What all expansions of a reading may produce, in bytes. A few lines of `A=$A$A` ask for more
/// memory than there is; that is for bash to fail at, which is stopped after a while.
const MOST: usize = 16 << 20;

impl Variables {
    /// Says that `name` is either set here or not at all.
    pub fn know(&mut self, name: &str) {
        self.known.insert(name.to_owned());
    }

    /// Knows every name that `other` knows.
    pub fn know_all_of(&mut self, other: &Self) {
        self.known.extend(other.known.iter().cloned());
    }

    /// Sets one element.
    pub fn set(&mut self, name: &str, index: usize, bytes: Vec<u8>, place: Option<Place>) {
        self.know(name);
        self.values.entry(name.to_owned()).or_default().insert(index, Element { bytes, place });
    }

    /// All elements of a variable.
    pub fn elements(&self, name: &str) -> impl Iterator<Item = (usize, &Element)> {
        self.values.get(name).into_iter().flatten().map(|(index, element)| (*index, element))
    }

    /// Carries out an assignment of the file with this number.
    ///
    /// # Errors
    /// What needs a shell, in words.
    pub fn assign(&mut self, assignment: &Assignment, file: usize) -> Result<(), String> {
        let Assignment { line, name, index, append, value } = assignment;
        let place = Some(Place { file, line: Some(*line) });
        match value {
            Value::Scalar(word) => {
                let mut bytes = Vec::new();
                if *append {
                    bytes.extend_from_slice(self.lookup(name, *index)?.unwrap_or_default());
                    self.spend(bytes.len())?;
                }
                bytes.extend(self.expand(word)?);
                self.set(name, *index, bytes, place);
            }
            Value::Array(words) => {
                // `+=` needs to know what is there already; `=` does not, but then it is known.
                if *append {
                    self.lookup(name, 0)?;
                }
                let texts =
                    words.iter().map(|word| self.expand_single(word)).collect::<Result<Vec<_>, _>>()?;
                let old = self.values.entry(name.clone()).or_default();
                if !append {
                    old.clear();
                }
                let first = old.keys().next_back().map_or(0, |last| last + 1);
                for (offset, bytes) in texts.into_iter().enumerate() {
                    self.set(name, first + offset, bytes, place);
                }
                self.know(name);
            }
        }
        Ok(())
    }

    fn lookup(&self, name: &str, index: usize) -> Result<Option<&[u8]>, String> {
        match self.values.get(name).and_then(|elements| elements.get(&index)) {
            Some(element) => Ok(Some(&element.bytes)),
            None if self.known.contains(name) => Ok(None),
            None => Err(format!("the variable {name}")),
        }
    }

    /// The value of a word where it is neither split nor expanded further (right of `=`).
    pub fn expand(&self, word: &[Piece]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        for piece in word {
            out.extend(self.expand_piece(piece)?);
        }
        Ok(out)
    }

    /// The value of a word in an array literal, provided that it is one word there.
    fn expand_single(&self, word: &[Piece]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        for piece in word {
            let bytes = self.expand_piece(piece)?;
            if matches!(piece, Piece::Variable { quoted: false, .. })
                && (bytes.is_empty() || bytes.iter().any(|b| b" \t\n*?[\\(".contains(b)))
            {
                return Err("an unquoted variable that may be split into words".to_owned());
            }
            out.extend(bytes);
        }
        Ok(out)
    }

    fn expand_piece(&self, piece: &Piece) -> Result<Vec<u8>, String> {
        match piece {
            Piece::Literal(text) => Ok(text.clone()),
            Piece::Command => Err("a command substitution".to_owned()),
            Piece::Variable { name, index, otherwise, .. } => {
                let value = self.lookup(name, *index)?;
                self.spend(value.map_or(0, <[u8]>::len))?;
                let Some(Alternative { when_set, empty_is_unset, word }) = otherwise else {
                    return Ok(value.unwrap_or_default().to_vec());
                };
                let there = value.filter(|v| !(*empty_is_unset && v.is_empty()));
                match (there, when_set) {
                    (Some(_), true) | (None, false) => self.expand(word),
                    (Some(value), false) => Ok(value.to_vec()),
                    (None, true) => Ok(Vec::new()),
                }
            }
        }
    }

    fn spend(&self, bytes: usize) -> Result<(), String> {
        self.spent.set(self.spent.get().saturating_add(bytes));
        if self.spent.get() > MOST { Err("values that grow without end".to_owned()) } else { Ok(()) }
    }
}
