//! Lines at the bottom of the terminal that are written anew while others scroll by above them.

use std::collections::BTreeMap;
use std::io;

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// How often a second a line may be drawn.
const RATE: u8 = 10;

/// Where a terminal does not tell its size.
const COLUMNS: u16 = 80;
const ROWS: u16 = 24;

/// A terminal whose cursor waits at the beginning of the last line, not behind its end: there, the `^C` that a terminal
/// shows by itself would go on to the next line, and the lines would no longer be where they are looked for.
#[derive(Debug)]
struct AtTheMargin(Term);

impl TermLike for AtTheMargin {
    fn width(&self) -> u16 {
        self.0.size_checked().map_or(COLUMNS, |(_, columns)| columns)
    }

    fn height(&self) -> u16 {
        self.0.size_checked().map_or(ROWS, |(rows, _)| rows)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.write_str("\r")?;
        self.0.flush()
    }
}

/// One line for each task, by its number. All that fails here is drawing, which stops nothing.
#[derive(Debug)]
pub(super) struct Bars {
    all: MultiProgress,
    shown: BTreeMap<usize, ProgressBar>,
}

impl Bars {
    /// None yet.
    pub fn new() -> Self {
        let terminal = Box::new(AtTheMargin(Term::buffered_stdout()));
        let target = ProgressDrawTarget::term_like_with_hz(terminal, RATE);
        Self { all: MultiProgress::with_draw_target(target), shown: BTreeMap::new() }
    }

    /// How many columns a line may have: the last one stays free, as terminals differ in what they do after it.
    pub fn columns() -> usize {
        let width = Term::stdout().size_checked().map_or(COLUMNS, |(_, columns)| columns);
        usize::from(width).saturating_sub(1)
    }

    /// Whether they may be drawn: a run that a shell put into the background does not write over what the shell's
    /// person types. On a terminal that controls nobody here, nobody types.
    pub fn may_be_seen() -> bool {
        nix::unistd::tcgetpgrp(io::stdout()).map_or(true, |group| group == nix::unistd::getpgrp())
    }

    /// Shows the line of a task.
    pub fn set(&mut self, number: usize, line: String) {
        let bar = self.shown.entry(number).or_insert_with(|| {
            let bar = ProgressBar::no_length();
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            self.all.add(bar)
        });
        if bar.message() != line {
            bar.set_message(line);
        }
    }

    /// Takes the line of a task away.
    pub fn remove(&mut self, number: usize) {
        if let Some(bar) = self.shown.remove(&number) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    /// Takes all lines away, as long as nothing is set.
    pub fn hide(&mut self) {
        let numbers: Vec<usize> = self.shown.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.remove(number));
    }

    /// Lets something be written above them.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.shown.is_empty() {
            return write();
        }
        let _ = self.all.clear();
        let written = write();
        self.shown.values().for_each(ProgressBar::tick);
        written
    }
}
