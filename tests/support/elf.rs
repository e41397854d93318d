//! Module files as small as they can be, of every kind of machine.

/// What a module file is to say.
#[derive(Debug, Clone, Default)]
pub struct Elf {
    /// 64-bit; otherwise 32-bit.
    pub wide: bool,
    pub big_endian: bool,
    /// `e_machine`.
    pub machine: u16,
    /// Lines of `.modinfo`.
    pub modinfo: Vec<String>,
    /// Symbols that others may use.
    pub exports: Vec<String>,
    /// Whether symbols have CRCs: exports in the symbol table, imports in `__versions`.
    pub versions: bool,
    /// Symbols that it uses: in the symbol table.
    pub imports: Vec<String>,
    /// Symbols that only `__versions` names.
    pub versions_only: Vec<String>,
    /// No symbol table at all, as `strip -s` leaves it.
    pub stripped: bool,
    /// A symbol of type 13, which stands for a register on one kind of machine.
    pub register: Option<String>,
}

impl Elf {
    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let texts = |texts: &[String]| -> Vec<u8> {
            texts.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect()
        };
        let mut sections: Vec<(&str, u32, Vec<u8>)> = vec![("", 0, Vec::new())];
        sections.push((".text", 1, vec![0x90; 4]));
        if !self.modinfo.is_empty() {
            sections.push((".modinfo", 1, texts(&self.modinfo)));
        }
        if !self.exports.is_empty() {
            sections.push(("__ksymtab_strings", 1, texts(&self.exports)));
        }
        if self.versions {
            let names = self.imports.iter().chain(&self.versions_only);
            let records = names.flat_map(|name| {
                let mut record = self.number(0x1234_5678, self.word());
                record.extend(name.as_bytes());
                record.resize(64, 0);
                record
            });
            sections.push(("__versions", 1, records.collect()));
        }
        sections.push((".bss", 8, vec![0; 32]));
        if !self.stripped {
            let (table, names) = self.symbols();
            sections.push((".symtab", 2, table));
            sections.push((".strtab", 3, names));
        }
        self.file(sections)
    }

    fn symbols(&self) -> (Vec<u8>, Vec<u8>) {
        let mut names = vec![0];
        let mut table = Vec::new();
        let mut add = |name: &str, info: u8, section: u16| {
            let at = if name.is_empty() { 0 } else { names.len() as u64 };
            if !name.is_empty() {
                names.extend(name.as_bytes());
                names.push(0);
            }
            let [name, section] = [self.number(at, 4), self.number(section.into(), 2)];
            if self.wide {
                table.extend([name, vec![info, 0], section, vec![0; 16]].concat());
            } else {
                table.extend([name, vec![0; 8], vec![info, 0], section].concat());
            }
        };
        add("", 0, 0);
        add("init_module", 0x12, 1);
        if let Some(register) = &self.register {
            add(register, 0x1d, 0);
        }
        for (at, export) in self.exports.iter().enumerate() {
            add(&format!("__ksymtab_{export}"), 0x01, 1);
            if self.versions {
                add(&format!("__crc_{export}"), 0x01, if at % 2 == 0 { 1 } else { 0xfff1 });
            }
        }
        for (at, import) in self.imports.iter().enumerate() {
            // Every third one weak.
            add(import, if at % 3 == 2 { 0x20 } else { 0x10 }, 0);
        }
        (table, names)
    }

    fn word(&self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    fn number(&self, value: u64, size: usize) -> Vec<u8> {
        match self.big_endian {
            true => value.to_be_bytes()[8 - size..].to_vec(),
            false => value.to_le_bytes()[..size].to_vec(),
        }
    }

    fn file(&self, mut sections: Vec<(&str, u32, Vec<u8>)>) -> Vec<u8> {
        sections.push((".shstrtab", 3, Vec::new()));
        let mut names = Vec::new();
        let mut at_name = Vec::new();
        for (name, ..) in &sections {
            at_name.push(names.len() as u64);
            names.extend([name.as_bytes(), b"\0"].concat());
        }
        let last = sections.len() - 1;
        sections[last].2 = names;
        let word = self.word();
        let (header, entry) = if self.wide { (64, 64) } else { (52, 40) };
        let (mut body, mut table): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
        for ((_, kind, content), name) in sections.iter().zip(at_name) {
            let place = if *kind == 0 { 0 } else { (header + body.len()) as u64 };
            let fields = [(name, 4), (u64::from(*kind), 4), (0, word), (0, word), (place, word)];
            let more = [(content.len() as u64, word), (0, 4), (0, 4), (1, word), (0, word)];
            for (value, size) in fields.into_iter().chain(more) {
                table.extend(self.number(value, size));
            }
            if *kind != 8 {
                body.extend(content);
            }
        }
        let mut file = b"\x7fELF".to_vec();
        file.extend([if self.wide { 2 } else { 1 }, if self.big_endian { 2 } else { 1 }, 1]);
        file.resize(16, 0);
        let table_at = (header + body.len()) as u64;
        let fields = [(1, 2), (u64::from(self.machine), 2), (1, 4), (0, word), (0, word), (table_at, word)];
        let sizes = [(0, 4), (header as u64, 2), (0, 2), (0, 2), (entry, 2)];
        let counts = [(sections.len() as u64, 2), (last as u64, 2)];
        for (value, size) in fields.into_iter().chain(sizes).chain(counts) {
            file.extend(self.number(value, size));
        }
        file.extend(body);
        file.extend(table);
        file
    }
}
