//! New confs from old ones.

use super::dictionary::{BYTES, NASTY, TOKENS};
use super::random::Random;

/// Longer texts are cut: what is long is only slow.
const LONGEST: usize = 64 << 10;

/// Makes cases.
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    lines: Vec<Vec<u8>>,
    /// Mutants that our reader was sure about: their neighbours often are as well.
    offspring: Vec<Vec<u8>>,
}

impl Mutator {
    /// From whole confs.
    pub fn new(mut seeds: Vec<Vec<u8>>) -> Self {
        seeds.extend(NASTY.iter().map(|text| text.as_bytes().to_vec()));
        let mut lines: Vec<Vec<u8>> =
            seeds.iter().flat_map(|text| text.split_inclusive(|b| *b == b'\n')).map(<[u8]>::to_vec).collect();
        lines.sort();
        lines.dedup();
        Self { seeds, lines, offspring: Vec::new() }
    }

    /// A case: a conf, now and then with an override.
    pub fn case(&mut self, random: &mut Random) -> Vec<Vec<u8>> {
        let files = if random.once_in(6) { 2 } else { 1 };
        (0..files).map(|_| self.text(random)).collect()
    }

    /// Remembers a text to start from.
    pub fn keep(&mut self, text: &[u8], random: &mut Random) {
        const MOST: usize = 2000;
        if text.len() > 2000 {
            return;
        }
        if self.offspring.len() < MOST {
            self.offspring.push(text.to_vec());
        } else {
            let place = random.below(MOST);
            self.offspring[place] = text.to_vec();
        }
    }

    fn text(&self, random: &mut Random) -> Vec<u8> {
        let mut text = match random.below(10) {
            0 => random.pick(&self.seeds).clone(),
            1 | 2 => tokens(random),
            3..=5 if !self.offspring.is_empty() => random.pick(&self.offspring).clone(),
            _ => (0..=random.below(6)).flat_map(|_| random.pick(&self.lines).clone()).collect(),
        };
        let most = *random.pick(&[1, 2, 3, 6]);
        for _ in 0..random.below(most + 1) {
            self.mutate(&mut text, random);
            text.truncate(LONGEST);
        }
        text
    }

    fn mutate(&self, text: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(text.len() + 1);
        match random.below(22) {
            0..=4 => insert(text, at, random.text(TOKENS)),
            5 => insert(text, line_start(text, at), random.text(TOKENS)),
            6 => insert(text, line_end(text, at), random.text(TOKENS)),
            7 => insert(text, at, &[*random.pick(BYTES)]),
            8 if at < text.len() => text[at] = *random.pick(BYTES),
            9 if at < text.len() => text[at] ^= 1 << random.below(8),
            10 => drop(text.drain(span(text, at, random, 4))),
            11 => drop(text.drain(span(text, at, random, 40))),
            12 => {
                let copy = text[span(text, at, random, 30)].to_vec();
                let to = random.below(text.len() + 1);
                insert(text, to, &copy);
            }
            13 => {
                let span = span(text, at, random, 30);
                let (open, close): (&[u8], &[u8]) = *random.pick(&[
                    (b"\"" as &[u8], b"\"" as &[u8]),
                    (b"'", b"'"),
                    (b"${", b"}"),
                    (b"${arch+", b"}"),
                    (b"$(", b")"),
                    (b"(", b")"),
                    (b"`", b"`"),
                    (b"\\\"", b"\\\""),
                ]);
                insert(text, span.end, close);
                insert(text, span.start, open);
            }
            14 => insert(text, line_start(text, at), random.pick::<Vec<u8>>(&self.lines)),
            15 => drop(text.drain(line_start(text, at)..line_end(text, at))),
            16 => {
                let line = text[line_start(text, at)..line_end(text, at)].to_vec();
                let to = random.below(text.len() + 1);
                insert(text, line_start(text, to), &[line, vec![b'\n']].concat());
            }
            17 => {
                insert(text, line_end(text, at), random.text(&[b"\\" as &[u8], b"\r", b" \\", b"\\\r", b" "]))
            }
            18 => {
                let crlf = text.split(|b| *b == b'\n').collect::<Vec<_>>().join(b"\r\n" as &[u8]);
                *text = crlf;
            }
            19 => text.truncate(at),
            20 => {
                let end = line_end(text, at);
                if end < text.len() {
                    text[end] = *random.pick(b" ;\t\\&");
                }
            }
            _ if random.once_in(20) => {
                let part = text[span(text, at, random, 20)].to_vec();
                let times = 1 << random.below(12);
                insert(text, at, &part.repeat(times));
            }
            _ => {
                let other = random.pick(&self.lines);
                let from = random.below(other.len() + 1);
                insert(text, at, &other[from..]);
            }
        }
    }
}

/// A line of nothing but tokens; often it begins like an assignment.
fn tokens(random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..=random.below(3) {
        if !random.once_in(4) {
            text.extend_from_slice(random.text(&[
                b"MAKE=" as &[u8],
                b"XX=\"",
                b"PATCH=(",
                b"PATCH[1]='",
                b"MAKE+=\"",
            ]));
        }
        for _ in 0..=random.below(7) {
            text.extend_from_slice(random.text(TOKENS));
        }
        if random.once_in(2) {
            text.extend_from_slice(random.text(&[b"\"" as &[u8], b"'", b")", b"\"\n", b"'\n", b")\n"]));
        }
    }
    text
}

fn insert(text: &mut Vec<u8>, at: usize, what: &[u8]) {
    text.splice(at..at, what.iter().copied());
}

fn span(text: &[u8], at: usize, random: &mut Random, most: usize) -> std::ops::Range<usize> {
    at..(at + 1 + random.below(most)).min(text.len()).max(at)
}

fn line_start(text: &[u8], at: usize) -> usize {
    text[..at].iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1)
}

fn line_end(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|b| *b == b'\n').map_or(text.len(), |length| at + length)
}
