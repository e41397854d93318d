//! Module sources for toy kernels.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use dkms_hook::conf::model::{Conf, Reader, Record, Scripts};
use dkms_hook::model::ids::{Cell, ModuleId};

use super::FakeRoot;

/// A module source with its dkms.conf.
#[derive(Clone)]
pub struct ToyModule {
    name: String,
    version: String,
    records: Vec<Record>,
    files: Vec<(String, String, bool)>,
    patches: Vec<String>,
    scripts: Scripts,
    make: Option<String>,
    depends: Vec<String>,
    lines: Vec<String>,
}

impl ToyModule {
    /// A source that builds one module of its own name.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            records: Vec::new(),
            files: Vec::new(),
            patches: Vec::new(),
            scripts: Scripts::default(),
            make: None,
            depends: Vec::new(),
            lines: vec!["AUTOINSTALL=\"yes\"".into()],
        }
        .record(name)
    }

    /// Builds one more module.
    pub fn record(mut self, name: &str) -> Self {
        self.records.push(Record {
            built_name: name.to_owned(),
            built_location: String::new(),
            dest_name: name.to_owned(),
            dest_location: "/updates/dkms".to_owned(),
            strip: true,
            excluded: None,
        });
        let text = format!(
            "#include <linux/module.h>\n\nint {name}_answer(void)\n{{\n\treturn 42;\n}}\n\n\
             MODULE_LICENSE(\"GPL\");\nMODULE_VERSION(\"{}\");\n",
            self.version
        );
        self.file(&format!("{name}.c"), &text)
    }

    /// The module added last is in this directory of the source and goes by another name.
    pub fn renamed(mut self, location: &str, dest_name: &str) -> Self {
        let record = self.records.last_mut().unwrap();
        let old = format!("{}.c", record.built_name);
        record.built_location = location.to_owned();
        record.dest_name = dest_name.to_owned();
        let new = format!("{location}{old}");
        self.files.iter_mut().filter(|(path, ..)| *path == old).for_each(|(path, ..)| path.clone_from(&new));
        self
    }

    /// The module added last is not for the kernel, and not built.
    pub fn excluded(mut self, because: &str) -> Self {
        self.records.last_mut().unwrap().excluded = Some(because.to_owned());
        self
    }

    /// A file of the source; replaces one of that name.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.retain(|(known, ..)| known != path);
        self.files.push((path.to_owned(), text.to_owned(), false));
        self
    }

    /// An executable file of the source.
    pub fn executable(mut self, path: &str, text: &str) -> Self {
        self = self.file(path, text);
        self.files.last_mut().unwrap().2 = true;
        self
    }

    /// Its first module calls a function that this kernel does not have.
    pub fn failing(self) -> Self {
        let name = self.name.clone();
        let text = format!(
            "#include <linux/module.h>\n\nint {name}_answer(void)\n{{\n\treturn del_timer(42);\n}}\n"
        );
        self.file(&format!("{name}.c"), &text)
    }

    /// A patch, with the text of its file.
    pub fn patch(mut self, name: &str, text: &str) -> Self {
        self.patches.push(name.to_owned());
        self.file(&format!("patches/{name}"), text)
    }

    /// A patch that is named but not there.
    pub fn missing_patch(mut self, name: &str) -> Self {
        self.patches.push(name.to_owned());
        self
    }

    /// The pre- and post-scripts.
    pub fn scripts(mut self, scripts: Scripts) -> Self {
        self.scripts = scripts;
        self
    }

    /// MAKE[0], instead of the default command.
    pub fn make(mut self, command: &str) -> Self {
        self.make = Some(command.to_owned());
        self
    }

    /// BUILD_DEPENDS.
    pub fn depends(mut self, name: &str) -> Self {
        self.depends.push(name.to_owned());
        self
    }

    /// One more line of its dkms.conf, for those who read that file. [`ToyModule::conf`] does not
    /// know of it.
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Its name and version.
    pub fn id(&self) -> ModuleId {
        ModuleId::new(&self.name, &self.version).unwrap()
    }

    /// The text of its dkms.conf.
    pub fn conf_text(&self) -> String {
        let mut text = format!("PACKAGE_NAME=\"{}\"\nPACKAGE_VERSION=\"{}\"\n", self.name, self.version);
        let mut set = |name: &str, index: usize, value: &str| {
            if !value.is_empty() {
                text.push_str(&format!("{name}[{index}]=\"{value}\"\n"));
            }
        };
        for (i, record) in self.records.iter().enumerate() {
            set("BUILT_MODULE_NAME", i, &record.built_name);
            set("BUILT_MODULE_LOCATION", i, &record.built_location);
            set("DEST_MODULE_NAME", i, &record.dest_name);
            set("DEST_MODULE_LOCATION", i, &record.dest_location);
        }
        set("MAKE", 0, self.make.as_deref().unwrap_or_default());
        self.patches.iter().enumerate().for_each(|(i, name)| set("PATCH", i, name));
        self.depends.iter().enumerate().for_each(|(i, name)| set("BUILD_DEPENDS", i, name));
        let scripts = [
            ("PRE_BUILD", &self.scripts.pre_build),
            ("POST_BUILD", &self.scripts.post_build),
            ("PRE_INSTALL", &self.scripts.pre_install),
            ("POST_INSTALL", &self.scripts.post_install),
            ("POST_REMOVE", &self.scripts.post_remove),
            ("POST_ADD", &self.scripts.post_add),
        ];
        for (name, value) in scripts {
            if let Some(value) = value {
                text.push_str(&format!("{name}=\"{value}\"\n"));
            }
        }
        text + &self.lines.join("\n") + "\n"
    }

    /// Writes `/usr/src/NAME-VERSION`, as a module package brings it.
    pub fn write_source(&self, root: &FakeRoot) -> PathBuf {
        let dir = root.layout.source_inside(&self.id());
        root.write(dir.join("dkms.conf"), self.conf_text());
        let objects = self.records.iter().filter(|r| r.excluded.is_none());
        let objects: Vec<_> = objects.map(|r| format!("{}{}.o", r.built_location, r.built_name)).collect();
        root.write(dir.join("Makefile"), format!("obj-m := {}\n", objects.join(" ")));
        for (path, text, executable) in &self.files {
            let path = dir.join(path);
            if *executable {
                root.write_script(path, text)
            } else {
                root.write(path, text)
            };
        }
        root.path(dir)
    }

    /// Writes the source and registers it, as `dkms add` does.
    pub fn register(&self, root: &FakeRoot) {
        self.write_source(root);
        let id = self.id();
        fs::create_dir_all(root.layout.build_dir(&id)).unwrap();
        let link = root.layout.source_link(&id);
        let _ = fs::remove_file(&link);
        symlink(root.layout.source_inside(&id), link).unwrap();
    }

    /// Its dkms.conf, as a reader would evaluate it for a cell.
    pub fn conf(&self, root: &FakeRoot, cell: &Cell) -> Conf {
        let headers = root.layout.headers(&cell.kernel);
        let build = root.layout.build_dir(&cell.module);
        Conf {
            package_name: self.name.clone(),
            package_version: self.version.clone(),
            records: self.records.clone(),
            make: self
                .make
                .clone()
                .unwrap_or_else(|| format!("make -C {} M={}", headers.display(), build.display())),
            patches: self.patches.clone(),
            build_depends: self.depends.clone(),
            build_depends_rebuild: false,
            autoinstall: true,
            no_weak_modules: false,
            scripts: self.scripts.clone(),
            obsolete_by: None,
            warnings: Vec::new(),
            reader: Reader::Own,
            values: Default::default(),
        }
    }
}
