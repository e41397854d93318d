//! From the text of a conf file to its assignments.
//!
//! Follows the grammar of bash(1) for the part that it knows and refuses the rest. In doubt it
//! refuses: bash is always right about what bash would do.

use super::NeedsShell;
use super::syntax::{Assignment, Value, Word, belongs_to_shell};

/// Reads a whole file.
pub(super) fn assignments(text: &[u8]) -> Result<Vec<Assignment>, NeedsShell> {
    let mut parser = Parser::new(text)?;
    let mut found = Vec::new();
    loop {
        parser.skip_to_command();
        if parser.at_end() {
            return Ok(found);
        }
        parser.assignment_list(&mut found)?;
    }
}

/// Reads one word that has to be all of `text`.
pub(super) fn whole_word(text: &[u8]) -> Result<Word, NeedsShell> {
    let mut parser = Parser::new(text)?;
    let word = parser.word(false)?;
    if parser.at_end() { Ok(word) } else { Err(parser.needs_shell("a quote inside a value")) }
}

/// A position in a text.
pub(super) struct Parser<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    pub(super) line: usize,
    /// How many `${…}` are open; bounds recursion.
    pub(super) depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8]) -> Result<Self, NeedsShell> {
        let mut parser = Self { text, at: 0, line: 1, depth: 0 };
        // The shell has uses of its own for some control characters, and drops NUL.
        let odd = |b: &u8| (*b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r')) || *b == 0x7f;
        if let Some(at) = text.iter().position(odd) {
            parser.line += text[..at].iter().filter(|b| **b == b'\n').count();
            return Err(parser.needs_shell("a control character"));
        }
        Ok(parser)
    }

    pub(super) fn needs_shell(&self, why: impl Into<String>) -> NeedsShell {
        NeedsShell { line: self.line, why: why.into() }
    }

    pub(super) fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn starts_with(&self, what: &[u8]) -> bool {
        self.text[self.at..].starts_with(what)
    }

    /// Takes one byte, counting lines.
    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b'\n' {
            self.line += 1;
        }
        Some(byte)
    }

    pub(super) fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(&keep) {
            self.next();
        }
        &self.text[start..self.at]
    }

    /// A variable name, or an empty text.
    pub(super) fn name(&mut self) -> String {
        if self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return String::new();
        }
        let name = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_');
        String::from_utf8_lossy(name).into_owned()
    }

    /// `[n]`, when it stands here. A leading zero would be octal, a longer number absurd.
    pub(super) fn index(&mut self) -> Result<Option<usize>, NeedsShell> {
        if self.peek() != Some(b'[') {
            return Ok(None);
        }
        self.next();
        let digits = self.take_while(|b| b.is_ascii_digit());
        let plain = digits == b"0" || (1..=6).contains(&digits.len()) && digits[0] != b'0';
        if !plain || self.next() != Some(b']') {
            return Err(self.needs_shell("an array index that is not a plain number"));
        }
        Ok(Some(digits.iter().fold(0, |n, d| n * 10 + usize::from(d - b'0'))))
    }

    /// Blanks, empty lines and comments between commands. A line that holds only a carriage return
    /// is a command that does not exist, and so changes nothing: conf files with CRLF work.
    fn skip_to_command(&mut self) {
        loop {
            self.skip_blanks();
            if self.starts_with(b"\r\n") || (self.peek() == Some(b'\r') && self.at + 1 == self.text.len()) {
                self.next();
            }
            match self.peek() {
                Some(b'\n') => self.next(),
                Some(b'#') => {
                    self.skip_comment();
                    continue;
                }
                _ => return,
            };
        }
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(|b| matches!(b, b' ' | b'\t'));
            if !self.starts_with(b"\\\n") {
                return;
            }
            self.next();
            self.next();
        }
    }

    fn skip_comment(&mut self) {
        self.take_while(|b| b != b'\n');
    }

    /// `A=1 B=2`, up to the end of the line or a `;`. A word that is no assignment makes it a
    /// command with an environment, which sets nothing.
    fn assignment_list(&mut self, found: &mut Vec<Assignment>) -> Result<(), NeedsShell> {
        loop {
            found.push(self.assignment()?);
            // A word ends here anyway. After the `)` of an array bash goes on with the word, also
            // on the next line when this one ends in a backslash.
            if !matches!(self.peek(), None | Some(b' ' | b'\t' | b'\n' | b';')) {
                return Err(self.needs_shell("text after `)`"));
            }
            self.skip_blanks();
            match self.peek() {
                None | Some(b'\n') => return Ok(()),
                Some(b';') => {
                    self.next();
                    return match self.peek() {
                        Some(b';' | b'&') => Err(self.needs_shell("`;;`")),
                        _ => Ok(()),
                    };
                }
                Some(b'#') => {
                    self.skip_comment();
                    return Ok(());
                }
                Some(_) => {}
            }
        }
    }

    fn assignment(&mut self) -> Result<Assignment, NeedsShell> {
        let line = self.line;
        let start = self.at;
        let name = self.name();
        let index = if name.is_empty() { None } else { self.index()? };
        let append = self.starts_with(b"+=");
        if name.is_empty() || !(append || self.peek() == Some(b'=')) {
            self.at = start;
            return Err(self.needs_shell(self.command_here()));
        }
        if belongs_to_shell(&name) {
            return Err(self.needs_shell(format!("an assignment to {name}, which bash itself uses")));
        }
        self.at += if append { 2 } else { 1 };
        let value = match (self.peek(), index) {
            (Some(b'('), None) => Value::Array(self.array()?),
            _ => Value::Scalar(self.word(false)?),
        };
        Ok(Assignment { line, name, index: index.unwrap_or(0), append, value })
    }

    /// `( word word … )`, possibly over several lines and with comments.
    fn array(&mut self) -> Result<Vec<Word>, NeedsShell> {
        self.next();
        let mut words = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return Err(self.needs_shell("a `(` that is not closed")),
                Some(b')') => {
                    self.next();
                    return Ok(words);
                }
                Some(b'\n') => {
                    self.next();
                }
                Some(b'#') => self.skip_comment(),
                Some(_) => words.push(self.word(true)?),
            }
        }
    }

    /// How to name the command that stands here.
    fn command_here(&self) -> String {
        let rest = &self.text[self.at..];
        let end = rest.iter().position(|b| b.is_ascii_whitespace()).unwrap_or(rest.len());
        format!("the command `{}`", String::from_utf8_lossy(&rest[..end.min(40)]))
    }
}
