//! Whether a module file is all there: what a program that rewrites one leaves when it is stopped in the middle.

use object::{Object, ObjectKind, ObjectSection, SectionFlags, elf};

use super::signature::without_signature;

/// A section that the kernel loads.
#[derive(PartialEq, Eq)]
struct Loaded<'a> {
    name: &'a str,
    size: u64,
    content: &'a [u8],
}

/// Looks at the whole (uncompressed) content of a module: each section must lie in it.
///
/// # Errors
/// What is wrong with it, in words that follow "it is no whole module:".
pub fn check_whole(bytes: &[u8]) -> Result<(), String> {
    loaded(bytes).map(drop)
}

/// Compares what the kernel would load of two modules: a program that strips or signs one may change everything else.
///
/// # Errors
/// What is wrong with `after`, in words that follow "it is no whole module:".
pub fn check_same_load(before: &[u8], after: &[u8]) -> Result<(), String> {
    let (was, is) = (loaded(before)?, loaded(after)?);
    let mut pairs = was.iter().zip(&is);
    match pairs.find(|(was, is)| was != is) {
        Some((was, _)) => Err(format!("section {} is not what it was", was.name)),
        None if was.len() == is.len() => Ok(()),
        None => Err(format!("it has {} sections to load instead of {}", is.len(), was.len())),
    }
}

fn loaded(bytes: &[u8]) -> Result<Vec<Loaded<'_>>, String> {
    let file = object::File::parse(without_signature(bytes)).map_err(|error| error.to_string())?;
    if file.kind() != ObjectKind::Relocatable {
        return Err("it cannot be linked into a kernel".to_owned());
    }
    file.section_by_name(".modinfo").ok_or("no .modinfo section")?;
    let mut found = Vec::new();
    for section in file.sections() {
        let name = section.name().map_err(|error| format!("a name of a section: {error}"))?;
        let content = section.data().map_err(|error| format!("section {name}: {error}"))?;
        let SectionFlags::Elf { sh_type, sh_flags } = section.flags() else { continue };
        // strip(1) takes notes together.
        if sh_flags.0 & elf::SHF_ALLOC.0 != 0 && sh_type != elf::SHT_NOTE {
            found.push(Loaded { name, size: section.size(), content });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::sample;

    fn module() -> Vec<u8> {
        sample(&[(".modinfo", b"vermagic=6.1\0".to_vec()), (".text", vec![7; 200])], true)
    }

    #[test]
    fn a_module_that_is_cut_off_anywhere_is_no_whole_one() {
        let module = module();
        assert_eq!(check_whole(&module), Ok(()));
        for length in 0..module.len() {
            assert!(check_whole(&module[..length]).is_err(), "{length} of {} bytes", module.len());
        }
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(check_whole(&program).is_err(), "a program is no module");
    }
}
