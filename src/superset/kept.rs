//! What is replaced or removed, kept first, and put back. Pure but for [`super::restore`]'s part.
//!
//! Superset's own export files are what is kept, as text. It hides the passwords in them.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use reqwest::Url;
use serde_json::{Value, json};
use uuid::Uuid;

use super::address::MASK;
use super::bundle;
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
    let unfit = || Error::new(error::Kind::Config, "the backup has something in it that is no file of Superset's");
    objects.iter().map(|one| file(one).ok_or_else(unfit)).collect()
}

/// The import that puts files back.
pub fn zip(files: &Files) -> Result<Vec<u8>> {
    bundle::pack(files.clone())
}

/// Those of the databases' files that are of ours, by its uuid or its name: their password is the pipeline file's.
pub fn our_databases(files: &Files, uuid: Uuid, name: &str) -> Vec<String> {
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.trim().trim_matches(['\'', '"']).to_owned()
    };
    let ours = |text: &str| value(text, "uuid:") == uuid.to_string() || value(text, "database_name:") == name;
    files.iter().filter(|(path, text)| path.starts_with("databases/") && ours(text)).map(|(path, _)| path.clone()).collect()
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
    fn our_database_is_known_by_uuid_or_name() {
        let ours = |uuid, name| our_databases(&kept(), uuid, name);
        assert_eq!(ours(Uuid::nil(), "Druid (x)"), ["databases/d.yaml"]);
        assert_eq!(ours("08a8dfb1-6adc-59cc-b6b1-388609050813".parse().unwrap(), "another"), ["databases/d.yaml"]);
        assert!(ours(Uuid::nil(), "another").is_empty());
    }
}
