//! What is replaced or removed, kept first, and put back by [`super::Restoration`]. Pure.
//!
//! Superset's own export files are what is kept, as text. It hides the passwords in them.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use reqwest::Url;
use serde_json::{Value, json};
use uuid::Uuid;

use super::address::MASK;
use super::bundle;
use super::ids::Kind;
use crate::error::{self, Error, Result};

/// Files by their path in an import.
pub type Files = BTreeMap<String, String>;

/// The most that the files of one export may come to.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// The files of an export.
pub fn files(zip: Vec<u8>) -> Result<Files> {
    let failed = |why: &dyn std::fmt::Display| {
        Error::new(error::Kind::Failed, format!("cannot read what Superset exported, so nothing was changed: {why}"))
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).map_err(|error| failed(&error))?;
    let mut files = Files::new();
    let mut left = MOST_BYTES;
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|error| failed(&error))?;
        // Below a folder named for the time of the export.
        let Some((_, path)) = file.name().split_once('/') else { continue };
        let path = path.to_owned();
        if path == "metadata.yaml" || !file.is_file() {
            continue;
        }
        let mut text = String::new();
        let read = file.take(left + 1).read_to_string(&mut text).map_err(|error| failed(&error))? as u64;
        left = left.checked_sub(read).ok_or_else(|| failed(&"it is longer than 64 MiB"))?;
        files.insert(path, without_password(&text));
    }
    Ok(files)
}

/// The lines of a file, in each address the mask for a password.
fn without_password(text: &str) -> String {
    let line = |line: &str| {
        let Some((key, value)) = line.split_once("sqlalchemy_uri:") else { return line.to_owned() };
        match Url::parse(value.trim().trim_matches(['\'', '"'])) {
            Ok(mut url) if url.password().is_some_and(|password| password != MASK) => match url.set_password(Some(MASK)) {
                Ok(()) => format!("{key}sqlalchemy_uri: {url}"),
                Err(()) => format!("{key}sqlalchemy_uri: ''"),
            },
            _ => line.to_owned(),
        }
    };
    text.lines().map(|one| line(one) + "\n").collect()
}

/// Files as objects of a backup.
pub fn objects(files: Files) -> Vec<Value> {
    files.into_iter().map(|(path, content)| json!({ "path": path, "content": content })).collect()
}

/// Objects of a backup as files.
pub fn from_objects(objects: &[Value]) -> Result<Files> {
    let file = |one: &Value| Some((one["path"].as_str()?.to_owned(), one["content"].as_str()?.to_owned()));
    objects.iter().map(|one| file(one).ok_or_else(|| unfit("something"))).collect()
}

fn unfit(what: &str) -> Error {
    Error::new(error::Kind::Config, format!("{what} in the backup is no file of Superset's; nothing was changed"))
        .hint("was it changed by hand, or made by a newer version?")
}

/// The import that puts files back.
pub fn zip(files: &Files) -> Result<Vec<u8>> {
    bundle::pack(files.clone())
}

/// An object, as far as its file tells who it is.
#[derive(Debug)]
pub struct Object {
    /// Its file.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Its uuid.
    pub uuid: Uuid,
    /// What a person calls it.
    pub name: String,
    /// Of a dataset: the table's schema.
    pub schema: Option<String>,
    /// Of a connection: its address.
    pub uri: Option<String>,
    slug: Option<String>,
}

impl Object {
    /// The setting by which Superset tells it from others, beside the uuid, and its value. Many charts may have one title.
    pub fn unique_name(&self) -> Option<(&'static str, &str)> {
        match self.kind {
            Kind::Database => Some(("database_name", &self.name)),
            Kind::Dataset => Some(("table_name", &self.name)),
            Kind::Chart => None,
            Kind::Dashboard => Some(("slug", self.slug.as_deref()?)),
        }
    }
}

/// The objects of some files, each after those it needs.
pub fn read(files: &Files) -> Result<Vec<Object>> {
    let kinds = [
        (Kind::Database, "databases/", "database_name"),
        (Kind::Dataset, "datasets/", "table_name"),
        (Kind::Chart, "charts/", "slice_name"),
        (Kind::Dashboard, "dashboards/", "dashboard_title"),
    ];
    let mut objects = Vec::new();
    for (kind, folder, name) in kinds {
        for (path, text) in files.iter().filter(|(path, _)| path.starts_with(folder)) {
            let uuid = scalar(text, "uuid").and_then(|uuid| uuid.parse().ok()).ok_or_else(|| unfit(path))?;
            let (name, schema, slug) = (scalar(text, name).unwrap_or_default(), scalar(text, "schema"), scalar(text, "slug"));
            objects.push(Object { path: path.clone(), kind, uuid, name, schema, uri: scalar(text, "sqlalchemy_uri"), slug });
        }
    }
    Ok(objects)
}

/// A text under a key of the outermost mapping, in any of the forms in which Superset's exports have it; `None`: there is none.
fn scalar(text: &str, key: &str) -> Option<String> {
    let after_key = |line: &str| line.strip_prefix(key)?.strip_prefix(':').map(|rest| rest.trim().to_owned());
    let mut lines = text.lines();
    let mut value = lines.find_map(after_key)?;
    // A long text goes on in lines that are indented.
    for more in lines.take_while(|line| line.starts_with(' ')) {
        match value.strip_suffix('\\') {
            Some(whole) => value = whole.to_owned() + more.trim_start(),
            None => value = value + " " + more.trim(),
        }
    }
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    match (within('"'), within('\'')) {
        (Some(escaped), _) => Some(unescaped(escaped)),
        (_, Some(quoted)) => Some(quoted.replace("''", "'")),
        _ => Some(value).filter(|value| !value.is_empty() && value != "null"),
    }
}

/// What stands between double quotes in YAML.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(one) = rest.next() {
        let escape = if one == '\\' { rest.next() } else { None };
        let digits = match escape {
            None => {
                plain.push(one);
                continue;
            }
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some('n' | 't' | 'r') => {
                plain.push(' ');
                continue;
            }
            Some(itself) => {
                plain.push(itself);
                continue;
            }
        };
        let code: String = rest.by_ref().take(digits).collect();
        plain.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
    }
    plain
}

/// Whether an address had a password before it was kept.
pub fn has_password(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| url.password().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &str = "database_name: Druid (x)\nsqlalchemy_uri: druid://me:XXXXXXXXXX@h:1/druid/v2/sql\nuuid: 08a8dfb1-6adc-59cc-b6b1-388609050813\n";

    fn kept() -> Files {
        Files::from([("databases/d.yaml".into(), DATABASE.into()), ("charts/c_1.yaml".into(), "slice_name: c\nuuid: x\n".into())])
    }

    #[test]
    fn what_is_kept_can_be_packed_again() {
        let again = files(zip(&from_objects(&objects(kept())).unwrap()).unwrap()).unwrap();
        assert_eq!(again, kept());
        assert!(from_objects(&[json!({"id": "SALES"})]).is_err());
    }

    #[test]
    fn no_password_is_kept() {
        assert_eq!(without_password(DATABASE), DATABASE);
        let plain = "uuid: x\n  sqlalchemy_uri: 'postgresql://me:canary@h/db'\n";
        assert_eq!(without_password(plain), "uuid: x\n  sqlalchemy_uri: postgresql://me:XXXXXXXXXX@h/db\n");
    }

    #[test]
    fn objects_are_known_by_uuid_and_name_in_any_spelling_of_yaml() {
        let uuid = "uuid: 08a8dfb1-6adc-59cc-b6b1-388609050813\n";
        let files = Files::from([
            (
                "dashboards/d_1.yaml".into(),
                format!("dashboard_title: \"\\xE4 \\u2713 very\\\n  \\ \\\"long\\\" title\"\nslug: s\n{uuid}"),
            ),
            ("charts/c_2.yaml".into(), format!("slice_name: 'it''s'\nparams:\n  uuid: x\n{uuid}")),
            (
                "datasets/d/t.yaml".into(),
                format!("table_name: a plain text that goes\n  on\nschema: null\nmetrics:\n- uuid: x\n{uuid}"),
            ),
            ("databases/d.yaml".into(), DATABASE.into()),
            ("tags.yaml".into(), String::new()),
        ]);
        let read = read(&files).unwrap();
        let told: Vec<String> = read.iter().map(|one| format!("{} {} {:?}", one.kind, one.name, one.unique_name())).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        database Druid (x) Some(("database_name", "Druid (x)"))
        dataset a plain text that goes on Some(("table_name", "a plain text that goes on"))
        chart it's None
        dashboard ä ✓ very "long" title Some(("slug", "s"))
        "#);
        assert!(super::read(&Files::from([("charts/c.yaml".into(), "slice_name: c\n".into())])).is_err());
    }
}
