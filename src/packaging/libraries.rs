//! What the program itself says it needs: processor and shared libraries, from its ELF headers.

use object::elf;
use object::read::elf::FileHeader;
use object::{Endianness, FileKind};

use super::{Error, Result};

/// The architecture and the library packages of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Debian's name of the architecture.
    pub architecture: &'static str,
    /// Items for `Depends`, the C library first.
    pub packages: Vec<String>,
}

/// A shared library that the program names, with the newest version of it that a symbol asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Library {
    name: String,
    newest: Option<Vec<u32>>,
}

/// Reads the needs of `program` (the bytes of an ELF file).
///
/// The version of a library is the newest symbol version used (`GLIBC_2.34`): the C library's Debian
/// packages have the same number, and a package with at least that number has the symbol.
///
/// # Errors
/// When this is not an ELF file, or names a library of which we do not know the package: a package
/// that leaves a dependency out would break later and elsewhere.
pub fn needs(program: &[u8]) -> Result<Needs> {
    let (machine, libraries) = match FileKind::parse(program) {
        Ok(FileKind::Elf64) => parse::<elf::FileHeader64<Endianness>>(program),
        Ok(FileKind::Elf32) => parse::<elf::FileHeader32<Endianness>>(program),
        _ => return Err(Error::Program("is not an ELF file".into())),
    }
    .map_err(|err| Error::Program(format!("cannot be read: {err}")))?;
    Ok(Needs { architecture: architecture(machine, program)?, packages: packages(&libraries)? })
}

fn architecture(machine: elf::Machine, program: &[u8]) -> Result<&'static str> {
    let little = program.get(5) == Some(&elf::ELFDATA2LSB.0);
    Ok(match machine {
        elf::EM_X86_64 => "amd64",
        elf::EM_AARCH64 => "arm64",
        elf::EM_386 => "i386",
        elf::EM_ARM => "armhf",
        elf::EM_RISCV => "riscv64",
        elf::EM_S390 => "s390x",
        elf::EM_LOONGARCH => "loong64",
        elf::EM_PPC64 if little => "ppc64el",
        other => {
            return Err(Error::Program(format!("is for a machine without a known Debian name: {other:?}")));
        }
    })
}

fn packages(libraries: &[Library]) -> Result<Vec<String>> {
    let mut libc: Option<Vec<u32>> = None;
    let mut others = Vec::new();
    for library in libraries {
        let name = library.name.as_str();
        if ["libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "ld-linux", "ld64.so", "ld.so"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            libc = libc.max(Some(library.newest.clone().unwrap_or_default()));
        } else if name == "libgcc_s.so.1" {
            others.push(at_least("libgcc-s1", library.newest.as_deref()));
        } else {
            return Err(Error::Program(format!(
                "needs {name}, of which the Debian package is not known here"
            )));
        }
    }
    let libc = libc.ok_or_else(|| Error::Program("does not use the C library".into()))?;
    Ok(std::iter::once(at_least("libc6", Some(&libc))).chain(others).collect())
}

fn at_least(package: &str, version: Option<&[u32]>) -> String {
    match version {
        Some(numbers) if !numbers.is_empty() => {
            let text: Vec<_> = numbers.iter().map(u32::to_string).collect();
            format!("{package} (>= {})", text.join("."))
        }
        _ => package.to_owned(),
    }
}

/// The number in a symbol version: `GLIBC_2.34` gives 2.34; `GLIBC_PRIVATE` gives none.
fn number(symbol_version: &str) -> Option<Vec<u32>> {
    let (_, digits) = symbol_version.rsplit_once('_')?;
    digits.split('.').map(|part| part.parse().ok()).collect()
}

fn parse<Elf: FileHeader<Endian = Endianness>>(
    program: &[u8],
) -> object::Result<(elf::Machine, Vec<Library>)> {
    let header = Elf::parse(program)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, program)?;
    let mut libraries: Vec<Library> = Vec::new();
    let dynamic = sections.dynamic_table(endian, program)?;
    for entry in dynamic.iter().filter(|entry| entry.tag == elf::DT_NEEDED) {
        let name = String::from_utf8_lossy(dynamic.string(entry)?).into_owned();
        libraries.push(Library { name, newest: None });
    }
    if let Some((mut needed, strings)) = sections.gnu_verneed(endian, program)? {
        let strings = sections.strings(endian, program, strings)?;
        while let Some((from, mut versions)) = needed.next()? {
            let name = String::from_utf8_lossy(from.file(endian, strings)?).into_owned();
            while let Some(version) = versions.next()? {
                let text = String::from_utf8_lossy(version.name(endian, strings)?).into_owned();
                if let Some(library) = libraries.iter_mut().find(|library| library.name == name) {
                    library.newest = number(&text).max(library.newest.take());
                }
            }
        }
    }
    Ok((header.e_machine(endian), libraries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, newest: Option<&str>) -> Library {
        Library { name: name.into(), newest: newest.and_then(number) }
    }

    #[test]
    fn symbol_versions_compare_by_number_and_private_ones_do_not_count() {
        assert!(number("GLIBC_2.4") < number("GLIBC_2.34"));
        assert!(number("GLIBC_2.2.5") < number("GLIBC_2.14"));
        assert_eq!(number("GLIBC_PRIVATE"), None);
    }

    #[test]
    fn all_parts_of_the_c_library_become_one_dependency_on_the_newest() {
        let needs = packages(&[
            library("libgcc_s.so.1", Some("GCC_4.2.0")),
            library("libm.so.6", Some("GLIBC_2.29")),
            library("libc.so.6", Some("GLIBC_2.34")),
            library("ld-linux-x86-64.so.2", Some("GLIBC_2.3")),
        ]);
        assert_eq!(needs.unwrap(), ["libc6 (>= 2.34)", "libgcc-s1 (>= 4.2.0)"]);
    }

    #[test]
    fn a_library_without_a_known_package_stops_the_build() {
        let err = packages(&[library("libc.so.6", None), library("liblzma.so.5", None)]).unwrap_err();
        assert!(err.to_string().contains("liblzma.so.5"), "{err}");
    }

    #[test]
    fn this_test_program_needs_the_c_library() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = needs(&program).unwrap();
        assert!(needs.packages[0].starts_with("libc6 (>= 2."), "{needs:?}");
        assert!(super::needs(b"#!/bin/sh\n").is_err());
    }
}
