//! Cases that were once read wrongly, or that the reader must leave to bash.

/// One or two files each.
pub const CASES: &[&[&[u8]]] = &[
    // The word goes on after the `)` of an array: `(x)MAKE=a` is the value.
    &[b"PATCH=(x)\\\nMAKE=a"],
    &[b"PATCH=()\\\nPATCH=('')"],
    &[b"PATCH=(x)\\\n\\\n# c"],
];
