//! Looking up directives by name and index.

use super::evaluation::Values;

/// More modules or patches than any package has; an index beyond is a slip of the pen.
pub(super) const LARGEST_INDEX: usize = 9_999;

/// Values under the names of directives. What is not set reads as empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directives<'a>(pub &'a Values);

impl<'a> Directives<'a> {
    /// One element.
    pub fn at(self, name: &str, index: usize) -> &'a str {
        self.0.get(name).and_then(|elements| elements.get(&index)).map_or("", String::as_str)
    }

    /// The plain variable, which is element 0.
    pub fn plain(self, name: &str) -> &'a str {
        self.at(name, 0)
    }

    /// The plain variable, unless it is empty.
    pub fn some(self, name: &str) -> Option<String> {
        Some(self.plain(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Whether any element is set, be it to an empty text.
    pub fn is_set(self, name: &str) -> bool {
        self.count(name) > 0
    }

    /// How many elements are set.
    pub fn count(self, name: &str) -> usize {
        self.0.get(name).map_or(0, |elements| elements.len())
    }

    /// The highest index that is set, plus one.
    pub fn end(self, name: &str) -> usize {
        self.0.get(name).and_then(|elements| elements.keys().next_back()).map_or(0, |last| last + 1)
    }

    /// All elements in index order.
    pub fn elements(self, name: &str) -> impl Iterator<Item = (usize, &'a str)> {
        self.0.get(name).into_iter().flatten().map(|(index, text)| (*index, text.as_str()))
    }
}

/// `NAME` or `NAME[3]`: how a person would write it.
pub(super) fn written(name: &str, index: usize) -> String {
    if index == 0 { name.to_owned() } else { format!("{name}[{index}]") }
}
