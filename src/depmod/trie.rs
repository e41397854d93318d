//! The index files that modprobe(8) searches: a tree of characters, with all numbers big-endian.
//!
//! A node is: its prefix and NUL; the first and the last character of its children and an offset for each
//! character between; the number of its values, and each value with its priority. What it does not have is left
//! out, and the four highest bits of an offset tell what is there.

/// What every index file begins with: the magic number and the version of the format.
const HEAD: [u8; 8] = [0xb0, 0x07, 0xf4, 0x57, 0, 2, 0, 1];

const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

/// Where a node stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Before its children.
    ParentsFirst,
    /// After its children.
    ChildrenFirst,
}

/// One value of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    /// The lower, the earlier it stands.
    pub(super) priority: u32,
}

/// The file with these entries. Of one key and priority, the one that was given last stands first.
pub(super) fn file(mut entries: Vec<Entry<'_>>, layout: Layout) -> Vec<u8> {
    entries.reverse();
    entries.sort_by(|a, b| a.key.cmp(b.key).then(a.priority.cmp(&b.priority)));
    let bytes = entries.iter().map(|entry| entry.key.len() + entry.value.len() + 8).sum();
    let mut writer = Writer { out: Vec::with_capacity(bytes), layout };
    writer.out.extend(HEAD);
    writer.out.extend([0; 4]);
    let root = writer.node(&entries, 0, 0);
    writer.patch(HEAD.len(), root);
    writer.out
}

struct Writer {
    out: Vec<u8>,
    layout: Layout,
}

impl Writer {
    /// Writes the node of entries whose keys begin alike, up to `depth`; its own prefix ends at `end`. What it
    /// returns is its offset, with the bits.
    fn node(&mut self, entries: &[Entry<'_>], depth: usize, end: usize) -> u32 {
        // In order, a key that ends here stands before all that go on.
        let (values, longer) = entries.split_at(entries.partition_point(|entry| entry.key.len() == end));
        let mut children = [0; 128];
        if self.layout == Layout::ChildrenFirst {
            self.children(longer, end, |_, at, offset| children[at] = offset);
        }
        let mut offset = self.out.len() as u32;
        if end > depth {
            offset |= HAS_PREFIX;
            self.out.extend(&entries[0].key[depth..end]);
            self.out.push(0);
        }
        let mut offsets = 0;
        if let (Some(low), Some(high)) = (longer.first(), longer.last()) {
            offset |= HAS_CHILDREN;
            let (first, last) = (low.key[end], high.key[end]);
            self.out.extend([first, last]);
            offsets = self.out.len().wrapping_sub(4 * usize::from(first));
            for child in &children[usize::from(first)..=usize::from(last)] {
                self.out.extend(u32::to_be_bytes(*child));
            }
        }
        if !values.is_empty() {
            offset |= HAS_VALUES;
            self.out.extend((values.len() as u32).to_be_bytes());
            for value in values {
                self.out.extend(value.priority.to_be_bytes());
                self.out.extend(value.value);
                self.out.push(0);
            }
        }
        if self.layout == Layout::ParentsFirst {
            self.children(longer, end, |writer, at, offset| {
                writer.patch(offsets.wrapping_add(4 * at), offset)
            });
        }
        offset
    }

    /// Writes the nodes of entries whose keys begin alike up to `end` and go on there, and tells where each
    /// character's is.
    fn children(&mut self, entries: &[Entry<'_>], end: usize, mut tell: impl FnMut(&mut Self, usize, u32)) {
        for child in entries.chunk_by(|a, b| a.key[end] == b.key[end]) {
            let offset = self.node(child, end + 1, common(child, end + 1));
            tell(self, usize::from(child[0].key[end]), offset);
        }
    }

    fn patch(&mut self, at: usize, offset: u32) {
        self.out[at..at + 4].copy_from_slice(&offset.to_be_bytes());
    }
}

/// How many bytes the keys have in common, which begin alike up to `depth`: the first and the last of them, since
/// they are in order.
fn common(entries: &[Entry<'_>], depth: usize) -> usize {
    let [first, .., last] = entries else { return entries[0].key.len() };
    let alike = first.key[depth..].iter().zip(&last.key[depth..]).take_while(|(a, b)| a == b);
    depth + alike.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(key: &'a str, value: &'a str, priority: u32) -> Entry<'a> {
        Entry { key: key.as_bytes(), value: value.as_bytes(), priority }
    }

    #[test]
    fn an_empty_index_is_its_head() {
        for layout in [Layout::ParentsFirst, Layout::ChildrenFirst] {
            assert_eq!(file(Vec::new(), layout), b"\xb0\x07\xf4\x57\0\x02\0\x01\0\0\0\x0c");
        }
    }

    #[test]
    fn the_order_of_nodes_is_that_of_the_version() {
        let entries = vec![entry("ab", "x", 3), entry("ab", "y", 3), entry("ab", "z", 1), entry("a", "w", 0)];
        let value = |priority: u8, text: &str| [&[0, 0, 0, priority], text.as_bytes(), &[0]].concat();
        let root = |offset: &[u8]| [b"aa", offset].concat();
        let of_a = |offset: &[u8]| [b"bb", offset, &[0, 0, 0, 1], &value(0, "w")].concat();
        // Of one priority, the last one that was given stands first.
        let of_ab = [vec![0, 0, 0, 3], value(1, "z"), value(3, "y"), value(3, "x")].concat();
        let head = |root: &[u8]| [&HEAD, root].concat();
        let parents_first =
            [head(&[0x20, 0, 0, 12]), root(&[0x60, 0, 0, 18]), of_a(&[0x40, 0, 0, 34]), of_ab.clone()]
                .concat();
        let children_first =
            [head(&[0x20, 0, 0, 50]), of_ab, of_a(&[0x40, 0, 0, 12]), root(&[0x60, 0, 0, 34])].concat();
        assert_eq!(file(entries.clone(), Layout::ParentsFirst), parents_first);
        assert_eq!(file(entries, Layout::ChildrenFirst), children_first);
    }
}
