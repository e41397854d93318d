//! The hash by which kmod keeps names, and so orders what nothing else orders.

/// Paul Hsieh's "SuperFastHash" of a name: bytes are taken in pairs as little-endian numbers, and single ones are
/// signed.
fn of(name: &[u8]) -> u32 {
    let pair = |bytes: &[u8]| u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    let signed = |byte: u8| i32::from(byte.cast_signed()).cast_unsigned();
    let mut hash = name.len() as u32;
    let blocks = name.chunks_exact(4);
    let rest = blocks.remainder();
    for block in blocks {
        hash = hash.wrapping_add(pair(block));
        let high = (pair(&block[2..]) << 11) ^ hash;
        hash = (hash << 16) ^ high;
        hash = hash.wrapping_add(hash >> 11);
    }
    match rest {
        [_, _, last] => {
            hash = hash.wrapping_add(pair(rest));
            hash ^= hash << 16;
            hash ^= signed(*last) << 18;
            hash = hash.wrapping_add(hash >> 11);
        }
        [_, _] => {
            hash = hash.wrapping_add(pair(rest));
            hash ^= hash << 11;
            hash = hash.wrapping_add(hash >> 17);
        }
        [last] => {
            hash = hash.wrapping_add(signed(*last));
            hash ^= hash << 10;
            hash = hash.wrapping_add(hash >> 1);
        }
        _ => {}
    }
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}

/// The bucket of the name of a module, of 512.
pub(super) fn module_bucket(name: &[u8]) -> u32 {
    of(name) & 0x1ff
}

/// The bucket of a symbol, of 2048.
pub(super) fn symbol_bucket(name: &[u8]) -> u32 {
    of(name) & 0x7ff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_stand_in_the_order_in_which_depmod_was_seen_to_write_them() {
        // kmod 34.2, none of them in modules.order.
        let seen = "gamma beta zeta wl spl c alpha a nvidia zfs vboxdrv";
        let mut names: Vec<&str> = seen.split(' ').collect();
        names.sort_by_key(|name| (module_bucket(name.as_bytes()), *name));
        assert_eq!(names.join(" "), seen);
    }
}
