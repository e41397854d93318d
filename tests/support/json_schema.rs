//! Checking JSON against the schemas in docs/: the part of JSON Schema that they use, and nothing else. A
//! keyword that is not known here fails the test.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// The schemas by their file names.
pub struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// Reads those of the documentation.
    pub fn read() -> Self {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        let names = [
            "essential.schema.json",
            "fits.schema.json",
            "incoming.schema.json",
            "kernels.schema.json",
            "plan.schema.json",
            "secure-boot.schema.json",
            "settings.schema.json",
            "status.schema.json",
        ];
        let read = |name: &str| {
            let text = std::fs::read_to_string(docs.join(name)).unwrap();
            (name.to_owned(), serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}")))
        };
        Self(names.into_iter().map(read).collect())
    }

    /// Everything that is wrong with a value, each with its place; `part` is a file, or a file with a
    /// fragment.
    pub fn faults(&self, part: &str, value: &Value) -> Vec<String> {
        let file = part.split('#').next().unwrap();
        let mut faults = Vec::new();
        self.check(file, self.part(file, part), value, "", &mut faults);
        faults
    }

    /// Fails the test unless a text is JSON of this form.
    #[track_caller]
    pub fn assert(&self, part: &str, text: &str) -> Value {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let faults = self.faults(part, &value);
        assert!(faults.is_empty(), "{}\n{text}", faults.join("\n"));
        value
    }

    /// The constants of a tag in the variants of a definition.
    pub fn variants(&self, file: &str, definition: &str, tag: &str) -> Vec<String> {
        let variants = self.0[file]["$defs"][definition]["oneOf"].as_array().unwrap();
        let name = |v: &Value| v["properties"][tag]["const"].as_str().unwrap().to_owned();
        let mut names: Vec<String> = variants.iter().map(name).collect();
        names.sort();
        names
    }

    fn part(&self, file: &str, reference: &str) -> &Value {
        let (named, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let whole = &self.0[if named.is_empty() { file } else { named }];
        whole.pointer(fragment).unwrap_or_else(|| panic!("no {reference} in {file}"))
    }

    fn check(&self, file: &str, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        for (keyword, what) in schema.as_object().unwrap() {
            match keyword.as_str() {
                "$schema" | "title" | "description" | "$defs" => {}
                "$ref" => {
                    let reference = what.as_str().unwrap();
                    let named = reference.split('#').next().filter(|n| !n.is_empty()).unwrap_or(file);
                    self.check(named, self.part(file, reference), value, at, faults);
                }
                "type" => {
                    let fits = match what.as_str().unwrap() {
                        "object" => value.is_object(),
                        "array" => value.is_array(),
                        "string" => value.is_string(),
                        "boolean" => value.is_boolean(),
                        "integer" => value.is_u64() || value.is_i64(),
                        "null" => value.is_null(),
                        other => panic!("type {other}"),
                    };
                    if !fits {
                        faults.push(format!("{at}: {value} is no {what}"));
                    }
                }
                "const" if value != what => faults.push(format!("{at}: {value} is not {what}")),
                "enum" if !what.as_array().unwrap().contains(value) => {
                    faults.push(format!("{at}: {value} is none of {what}"));
                }
                "const" | "enum" => {}
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(file, what, item, &format!("{at}/{index}"), faults);
                    }
                }
                "properties" => {
                    for (name, schema) in what.as_object().unwrap() {
                        if let Some(inner) = value.get(name) {
                            self.check(file, schema, inner, &format!("{at}/{name}"), faults);
                        }
                    }
                }
                "required" => {
                    let names = what.as_array().unwrap().iter().map(|n| n.as_str().unwrap());
                    faults.extend(
                        names.filter(|n| value.get(n).is_none()).map(|n| format!("{at}: no {n} in {value}")),
                    );
                }
                "additionalProperties" => {
                    assert_eq!(*what, false);
                    let known = schema["properties"].as_object().unwrap();
                    let names = value.as_object().into_iter().flat_map(|object| object.keys());
                    faults.extend(
                        names
                            .filter(|n| !known.contains_key(*n))
                            .map(|n| format!("{at}: {n} is not in the schema")),
                    );
                }
                "oneOf" => {
                    let tried: Vec<Vec<String>> = what
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|schema| {
                            let mut faults = Vec::new();
                            self.check(file, schema, value, at, &mut faults);
                            faults
                        })
                        .collect();
                    match tried.iter().filter(|faults| faults.is_empty()).count() {
                        1 => {}
                        0 => {
                            let nearest = tried.into_iter().min_by_key(Vec::len).unwrap_or_default();
                            faults.push(format!("{at}: {value} is none of the variants"));
                            faults.extend(nearest);
                        }
                        several => faults.push(format!("{at}: {value} is {several} variants at once")),
                    }
                }
                other => panic!("the schema uses {other}, which this test does not know"),
            }
        }
    }
}

/// What a value lacks of an older one: names and values that a program may rely on. Texts for people may
/// change, names may be added, and so may elements of lists, in any place.
pub fn lacks(new: &Value, old: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    compare(new, old, "", &mut faults);
    faults
}

/// Names whose texts are for people.
const TEXTS: [&str; 5] = ["text", "why", "problems", "warning", "unsigned"];

fn compare(new: &Value, old: &Value, at: &str, faults: &mut Vec<String>) {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            for (name, old) in old {
                match new.get(name) {
                    None => faults.push(format!("{at}/{name} is gone")),
                    Some(_) if TEXTS.contains(&name.as_str()) => {}
                    Some(new) => compare(new, old, &format!("{at}/{name}"), faults),
                }
            }
        }
        (Value::Array(new), Value::Array(old)) => {
            for (index, old) in old.iter().enumerate() {
                if !new.iter().any(|new| lacks(new, old).is_empty()) {
                    faults.push(format!("{at}/{index} is gone: {old}"));
                }
            }
        }
        _ if new == old => {}
        _ => faults.push(format!("{at} was {old} and is {new}")),
    }
}
