//! What a setup command replaces or removes is kept in a file first, from which `pipeline restore` puts it back.
//!
//! The files are in `$XDG_STATE_HOME/pipeline/NAME` (`~/.local/state/pipeline/NAME`), readable by their owner only, and hold no secrets:
//! each system's own module takes them out, since each has another mask for them. What Superset exports is kept as it is, for
//! Superset takes its own mask, and no other, for the password that it knows.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// The version of the file's form.
const VERSION: u32 = 1;

/// What was there before a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    version: u32,
    /// The `name` of the pipeline file.
    pub pipeline: String,
    /// Whose objects these are: `druid` or `superset`.
    pub system: String,
    /// When it was made, RFC 3339.
    pub made: String,
    /// The objects, in the form of their server.
    pub objects: Vec<Value>,
}

impl Backup {
    /// A backup of these objects, made now (RFC 3339).
    pub fn new(pipeline: &str, system: &str, made: String, objects: Vec<Value>) -> Self {
        Self { version: VERSION, pipeline: pipeline.into(), system: system.into(), made, objects }
    }

    /// Keeps these objects, which have no secrets any more, and says where; nowhere if there are none.
    pub fn keep(pipeline: &str, system: &str, objects: Vec<Value>) -> Result<Option<PathBuf>> {
        if objects.is_empty() {
            return Ok(None);
        }
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        Self::new(pipeline, system, now, objects).write().map(Some)
    }

    /// Writes it into a file of its own, and says where.
    pub fn write(&self) -> Result<PathBuf> {
        let folder = folder(&self.pipeline)?;
        let failed = |error: std::io::Error| {
            Error::new(Kind::Failed, format!("cannot keep a backup in {}: {error}", folder.display()))
                .hint("nothing was changed; XDG_STATE_HOME says where backups are kept")
        };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let stamp: String = self.made.chars().filter(char::is_ascii_alphanumeric).collect();
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from).map_err(failed)?;
        for number in 1..=1_000 {
            let path = folder.join(format!("{stamp}-{}-{number}.json", self.system));
            match create(&path) {
                Ok(mut file) => return file.write_all(&text).and_then(|()| file.sync_all()).map(|()| path).map_err(failed),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(std::io::ErrorKind::AlreadyExists.into()))
    }

    /// Reads one.
    pub fn read(path: &Path) -> Result<Self> {
        let unfit = |why: String| {
            Error::new(Kind::Config, format!("{} is no backup of this program: {why}", path.display()))
                .hint("`pipeline restore` without a file lists those that there are")
        };
        let text = std::fs::read(path).map_err(|error| unfit(error.to_string()))?;
        let backup: Self = serde_json::from_slice(&text).map_err(|error| unfit(error.to_string()))?;
        if backup.version != VERSION {
            return Err(unfit(format!("version {}, not {VERSION}", backup.version)));
        }
        Ok(backup)
    }
}

/// The backups of a pipeline file, the newest first.
pub fn list(pipeline: &str) -> Result<Vec<PathBuf>> {
    let folder = folder(pipeline)?;
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    paths.sort_by(|a, b| b.cmp(a));
    Ok(paths)
}

fn create(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn folder(pipeline: &str) -> Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let state = state.ok_or_else(|| {
        Error::new(Kind::Config, "there is no place for backups: neither XDG_STATE_HOME nor HOME is set").hint("set one of them")
    })?;
    Ok(state.join("pipeline").join(file_name(pipeline)))
}

/// A name as that of a folder: what is no letter, digit, dot, '-' or '_' is written as its bytes, `%2F`.
fn file_name(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let escaped = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().take(60).map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders_are_harmless() {
        assert_eq!(file_name("kafka-101"), "kafka-101");
        assert_eq!(file_name("../a b"), "%2E%2E%2Fa%20b");
        assert!(file_name(&"ä".repeat(300)).len() < 255);
    }
}
