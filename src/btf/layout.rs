//! Types as a person reads them: what a struct is made of, a line for each member.

use super::digest::place;
use super::kinds::{Kind, Type};
use super::table::{Btf, Damaged};

/// How deep a type is spelled.
const DEPTH: usize = 12;
/// How many types are looked at for one layout: a damaged table may nest them without end.
const STEPS: usize = 100_000;

/// The members of a struct or union with their places in bytes, or the values of an enumeration; at first its
/// size.
///
/// # Errors
/// When it cannot be read.
pub fn layout(btf: &Btf, id: u32) -> Result<Vec<String>, Damaged> {
    let mut out = Vec::new();
    match btf.get(id)? {
        Type::Composite { size, .. } => {
            out.push(format!("{size}"));
            members(btf, id, 0, 0, &mut 0, &mut out)?;
        }
        Type::Enum { size, values, .. } => {
            out.push(format!("{size}"));
            for (name, value) in values.iter() {
                out.push(format!("{} = {value}", text(btf.name(name)?)));
            }
        }
        Type::Typedef { of, .. } => match btf.get(of)? {
            Type::Composite { .. } | Type::Enum { .. } => return layout(btf, of),
            _ => out.push(spell(btf, of, "", 0, &mut 0)?),
        },
        _ => {}
    }
    Ok(out)
}

/// The members of a composite that begins at `begin` (bits). Those without a name are gone into.
fn members(
    btf: &Btf,
    id: u32,
    begin: u32,
    depth: usize,
    steps: &mut usize,
    out: &mut Vec<String>,
) -> Result<(), Damaged> {
    let Type::Composite { members: all, .. } = btf.get(id)? else { return Ok(()) };
    for member in all.iter() {
        count(steps)?;
        let (offset, bits) = place(btf, member.of, member.offset, member.bits)?;
        let offset = offset.wrapping_add(begin);
        let name = text(btf.name(member.name)?);
        if name.is_empty() && depth < DEPTH && matches!(btf.get(member.of)?, Type::Composite { .. }) {
            members(btf, member.of, offset, depth + 1, steps, out)?;
            continue;
        }
        let at = match (offset % 8, bits) {
            (0, 0) => format!("{}", offset / 8),
            (rest, bits) => format!("{}.{rest}:{bits}", offset / 8),
        };
        out.push(format!("{at} {}", spell(btf, member.of, &name, 0, steps)?));
    }
    Ok(())
}

/// A declaration of a name, as C has it.
fn spell(btf: &Btf, id: u32, name: &str, depth: usize, steps: &mut usize) -> Result<String, Damaged> {
    count(steps)?;
    if depth > DEPTH {
        return Ok(format!("... {name}"));
    }
    let before = |kind: &str, own: &[u8]| {
        let own = if own.is_empty() { "{...}".to_owned() } else { text(own) };
        [kind, &own, name]
            .iter()
            .filter(|word| !word.is_empty())
            .map(|word| word.to_string())
            .collect::<Vec<_>>()
    };
    Ok(match btf.get(id)? {
        Type::Void => before("", b"void").join(" "),
        Type::Int { name, .. } | Type::Float { name, .. } | Type::Typedef { name, .. } => {
            before("", name).join(" ")
        }
        Type::Composite { kind, name, .. } | Type::Forward { kind, name } => {
            before(word(kind), name).join(" ")
        }
        Type::Enum { name, .. } => before("enum", name).join(" "),
        Type::Pointer(to) => match btf.get(to)? {
            Type::Prototype { .. } | Type::Array { .. } => {
                spell(btf, to, &format!("(*{name})"), depth + 1, steps)?
            }
            _ => spell(btf, to, &format!("*{name}"), depth + 1, steps)?,
        },
        Type::Array { element, length } => {
            spell(btf, element, &format!("{name}[{length}]"), depth + 1, steps)?
        }
        Type::Qualified { qualifier, of } => {
            let word = ["", "const ", "volatile ", "", "restrict "][qualifier as usize % 5];
            match btf.get(of)? {
                Type::Pointer(_) => spell(btf, of, &format!("{word}{name}"), depth + 1, steps)?,
                _ => format!("{word}{}", spell(btf, of, name, depth + 1, steps)?),
            }
        }
        Type::Tagged(of) => spell(btf, of, name, depth + 1, steps)?,
        Type::Prototype { returns, parameters } => {
            let mut all = Vec::new();
            for parameter in parameters.chunks_exact(2) {
                all.push(match parameter[1] {
                    0 => "...".to_owned(),
                    of => spell(btf, of, "", depth + 2, steps)?,
                });
            }
            spell(btf, returns, &format!("{name}({})", all.join(", ")), depth + 1, steps)?
        }
        Type::Function { .. } | Type::Variable { .. } | Type::Other => format!("? {name}"),
    })
}

fn count(steps: &mut usize) -> Result<(), Damaged> {
    *steps += 1;
    if *steps < STEPS { Ok(()) } else { Err(Damaged("a type has no end".into())) }
}

/// What C calls it.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Struct => "struct",
        Kind::Union => "union",
        Kind::Enum => "enum",
        Kind::Typedef | Kind::Function | Kind::Variable => "",
    }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
