//! Words: quotes, backslashes and `$`.

use super::NeedsShell;
use super::parser::Parser;
use super::syntax::{Alternative, Piece, Word};

/// Deeper nesting of `${…}` than anybody writes.
const DEEPEST: usize = 8;

/// Collects pieces, joining neighbouring text.
#[derive(Default)]
struct Pieces(Word);

impl Pieces {
    fn byte(&mut self, byte: u8) {
        match self.0.last_mut() {
            Some(Piece::Literal(text)) => text.push(byte),
            _ => self.0.push(Piece::Literal(vec![byte])),
        }
    }
}

impl Parser<'_> {
    /// A word, which ends before a blank, a newline or a `;` (in an array literal: before `)`).
    /// There, patterns and braces would also expand.
    pub(super) fn word(&mut self, in_array: bool) -> Result<Word, NeedsShell> {
        let mut pieces = Pieces::default();
        loop {
            let Some(byte) = self.peek() else { return Ok(pieces.0) };
            match byte {
                b' ' | b'\t' | b'\n' => return Ok(pieces.0),
                b';' if !in_array => return Ok(pieces.0),
                b')' if in_array => return Ok(pieces.0),
                b'|' | b'&' | b';' | b'(' | b')' | b'<' | b'>' => {
                    return Err(self.needs_shell(format!("an unquoted `{}`", char::from(byte))));
                }
                b'*' | b'?' | b'[' | b'{' if in_array => return Err(self.needs_shell("a pattern")),
                b'~' if in_array || !self.in_the_middle() => return Err(self.needs_shell("a `~`")),
                b'\'' => self.single_quoted(&mut pieces)?,
                b'"' => self.double_quoted(&mut pieces)?,
                b'`' => return Err(self.needs_shell("a command substitution")),
                b'$' => self.dollar(false, &mut pieces)?,
                b'\\' => {
                    self.next();
                    match self.next() {
                        Some(b'\n') => {}
                        Some(byte) => pieces.byte(byte),
                        None => return Err(self.needs_shell("a backslash at the end")),
                    }
                }
                _ => {
                    self.next();
                    pieces.byte(byte);
                }
            }
        }
    }

    /// Whether a `~` here surely stands for itself: bash expands it at the start of a value and
    /// after `:` and `=`.
    fn in_the_middle(&self) -> bool {
        self.at > 0
            && matches!(self.text[self.at - 1], b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
    }

    fn single_quoted(&mut self, pieces: &mut Pieces) -> Result<(), NeedsShell> {
        self.next();
        // An empty quote still makes a word.
        pieces.0.push(Piece::Literal(Vec::new()));
        loop {
            match self.next() {
                Some(b'\'') => return Ok(()),
                Some(byte) => pieces.byte(byte),
                None => return Err(self.needs_shell("a quote that is not closed")),
            }
        }
    }

    fn double_quoted(&mut self, pieces: &mut Pieces) -> Result<(), NeedsShell> {
        self.next();
        pieces.0.push(Piece::Literal(Vec::new()));
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.next();
                    return Ok(());
                }
                Some(b'$') => self.dollar(true, pieces)?,
                Some(b'`') => return Err(self.needs_shell("a command substitution")),
                Some(b'\\') => {
                    self.next();
                    match self.peek() {
                        Some(b'\n') => {
                            self.next();
                        }
                        Some(byte @ (b'$' | b'`' | b'"' | b'\\')) => {
                            self.next();
                            pieces.byte(byte);
                        }
                        _ => pieces.byte(b'\\'),
                    }
                }
                Some(byte) => {
                    self.next();
                    pieces.byte(byte);
                }
                None => return Err(self.needs_shell("a quote that is not closed")),
            }
        }
    }

    /// What a `$` begins, or the `$` itself.
    fn dollar(&mut self, quoted: bool, pieces: &mut Pieces) -> Result<(), NeedsShell> {
        self.next();
        match self.peek() {
            Some(b'{') => {
                self.next();
                pieces.0.push(self.braces(quoted)?);
            }
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => {
                let name = self.name();
                pieces.0.push(Piece::Variable { name, index: 0, otherwise: None, quoted });
                // bash takes a continuation out before it looks for the end of the name
                if self.starts_with(b"\\\n") {
                    return Err(self.needs_shell("a line continuation in a variable name"));
                }
            }
            Some(b'(') => pieces.0.push(self.command()?),
            Some(b'\'' | b'"') if quoted => pieces.byte(b'$'),
            Some(
                byte @ (b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'-' | b'!' | b'$' | b'[' | b'\'' | b'"'),
            ) => {
                return Err(self.needs_shell(format!("`${}`", char::from(byte))));
            }
            Some(b'\\') if self.starts_with(b"\\\n") => {
                return Err(self.needs_shell("a line continuation after `$`"));
            }
            _ => pieces.byte(b'$'),
        }
        Ok(())
    }

    /// `${…}` after its opening brace.
    fn braces(&mut self, quoted: bool) -> Result<Piece, NeedsShell> {
        self.depth += 1;
        let name = self.name();
        if name.is_empty() || self.depth > DEEPEST {
            return Err(self.needs_shell("a `${…}` that is not a plain variable"));
        }
        let index = self.index()?.unwrap_or(0);
        let empty_is_unset = self.starts_with(b":-") || self.starts_with(b":+");
        if empty_is_unset {
            self.next();
        }
        let otherwise = match self.next() {
            Some(b'}') => None,
            Some(sign @ (b'-' | b'+')) => {
                Some(Alternative { when_set: sign == b'+', empty_is_unset, word: self.alternative(quoted)? })
            }
            _ => return Err(self.needs_shell(format!("the operator in `${{{name}…}}`"))),
        };
        self.depth -= 1;
        Ok(Piece::Variable { name, index, otherwise, quoted })
    }

    /// The word in `${name-word}`, with its closing brace. Quotes follow odd rules there.
    fn alternative(&mut self, quoted: bool) -> Result<Word, NeedsShell> {
        let mut pieces = Pieces::default();
        loop {
            match self.peek() {
                Some(b'}') => {
                    self.next();
                    return Ok(pieces.0);
                }
                Some(b'$') => self.dollar(quoted, &mut pieces)?,
                Some(
                    b'\'' | b'"' | b'\\' | b'`' | b'{' | b'#' | b'~' | b'\n' | b'(' | b')' | b'<' | b'>'
                    | b'|' | b'&' | b';',
                )
                | None => return Err(self.needs_shell("an alternative in `${…}` that is not plain")),
                Some(byte) => {
                    self.next();
                    pieces.byte(byte);
                }
            }
        }
    }

    /// `$(…)` of a few plain words, for `${kernelver:-$(uname -r)}`: its end is certain.
    fn command(&mut self) -> Result<Piece, NeedsShell> {
        self.next();
        let text =
            self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-' | b'_' | b'.' | b'/'));
        let plain = !text.split(|b| *b == b' ').any(|word| word == b"case");
        if !plain || self.next() != Some(b')') {
            return Err(self.needs_shell("a command substitution"));
        }
        Ok(Piece::Command)
    }
}
