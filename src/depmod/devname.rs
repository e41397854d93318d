//! Device nodes that load their module when they are opened.

use super::names::Named;
use super::odd::{Odd, odd};

/// modules.devname: of each module the first name of a node and the first pair of numbers among its aliases.
///
/// # Errors
/// When a module has a name without numbers, of which depmod(8) says that it is wrong, or numbers of a kind of
/// their own.
pub(super) fn file<'a, A: Iterator<Item = &'a [u8]>>(
    modules: impl Iterator<Item = (&'a Named<'a>, A)>,
) -> Result<Vec<u8>, Odd> {
    let mut out = Vec::new();
    for (module, aliases) in modules {
        let (mut node, mut numbers) = (None, None);
        for alias in aliases {
            if let Some(name) = alias.strip_prefix(b"devname:") {
                node = Some(name);
            } else if let Some(found) = Numbers::of(alias)? {
                numbers = Some(found);
            }
            if node.is_some() && numbers.is_some() {
                break;
            }
        }
        let Some(node) = node else { continue };
        let Some(Numbers { kind, major, minor }) = numbers else {
            return Err(odd("it has the name of a device node and no numbers")
                .of(String::from_utf8_lossy(module.path)));
        };
        if out.is_empty() {
            out.extend(b"# Device nodes to trigger on-demand module loading.\n");
        }
        out.extend([&module.name, &b" "[..], node, b" "].concat());
        out.extend(format!("{kind}{major}:{minor}\n").bytes());
    }
    Ok(out)
}

/// The numbers of a device node.
struct Numbers {
    /// `c` or `b`.
    kind: char,
    major: u32,
    minor: u32,
}

impl Numbers {
    /// Of an alias such as `char-major-10-200`; what follows the numbers does not matter.
    fn of(alias: &[u8]) -> Result<Option<Self>, Odd> {
        let (kind, rest) = match (alias.strip_prefix(b"char-major-"), alias.strip_prefix(b"block-major-")) {
            (Some(rest), _) => ('c', rest),
            (_, Some(rest)) => ('b', rest),
            _ => return Ok(None),
        };
        let Some((major, rest)) = number(rest)? else { return Ok(None) };
        let Some(rest) = rest.strip_prefix(b"-") else { return Ok(None) };
        Ok(number(rest)?.map(|(minor, _)| Self { kind, major, minor }))
    }
}

/// The decimal number at the beginning; `None` where there is none.
fn number(text: &[u8]) -> Result<Option<(u32, &[u8])>, Odd> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        // What scanf(3) would also take for the beginning of a number.
        let odd_one =
            text.first().is_some_and(|byte| matches!(byte, b'+' | b'-') || byte.is_ascii_whitespace());
        return if odd_one { Err(odd("a module has an unusual device number")) } else { Ok(None) };
    }
    let number = std::str::from_utf8(&text[..digits]).ok().and_then(|digits| digits.parse().ok());
    let number = number.ok_or_else(|| odd("a module has an unusual device number"))?;
    Ok(Some((number, &text[digits..])))
}
