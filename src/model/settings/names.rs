//! Names of module packages, as a setting lists them.

use std::fmt;

use crate::model::ids::ModuleName;

/// `NAME NAME`: names between spaces or commas, each once, in the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(Vec<ModuleName>);

impl Names {
    /// `None` where one of them cannot be a module's name.
    pub fn parse(text: &str) -> Option<Self> {
        let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        let mut names = Self::default();
        for word in words {
            names.add(ModuleName::new(word).ok()?);
        }
        Some(names)
    }

    /// Puts a name at the end; false where it is there already.
    pub fn add(&mut self, name: ModuleName) -> bool {
        let new = !self.contains(&name);
        if new {
            self.0.push(name);
        }
        new
    }

    /// Takes a name away; false where it is not there.
    pub fn remove(&mut self, name: &ModuleName) -> bool {
        let before = self.0.len();
        self.0.retain(|known| known != name);
        self.0.len() < before
    }

    /// Whether it is one of them.
    pub fn contains(&self, name: &ModuleName) -> bool {
        self.0.contains(name)
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ModuleName> {
        self.0.iter()
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_between_spaces_or_commas_and_each_is_there_once() {
        let mut names = Names::parse(" zfs,nvidia  zfs ").unwrap();
        assert_eq!(names.to_string(), "zfs nvidia");
        let zfs = ModuleName::new("zfs").unwrap();
        assert!(!names.add(zfs.clone()) && names.contains(&zfs));
        assert!(names.remove(&zfs) && !names.remove(&zfs));
        assert_eq!(names.iter().map(ModuleName::as_str).collect::<Vec<_>>(), ["nvidia"]);
        assert_eq!((Names::parse("a/b"), Names::parse("..")), (None, None));
        assert!(Names::parse("").unwrap().is_empty());
    }
}
