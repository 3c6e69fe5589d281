//! The stream key: given, or made at the first start and kept in `DATA_DIR/stream-key`, readable by nobody else.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use storage::Secret;

#[derive(Debug, thiserror::Error)]
#[error("the stream key in {path} cannot be {what}: {source}")]
pub struct KeyError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

/// A key and whether it was made just now.
pub struct StreamKey {
    pub key: Secret,
    pub is_new: bool,
}

pub fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("stream-key")
}

/// # Errors
/// When the file cannot be read or written, or is empty.
pub fn load_or_make(given: Option<Secret>, data_dir: &Path) -> Result<StreamKey, KeyError> {
    if let Some(key) = given {
        return Ok(StreamKey { key, is_new: false });
    }
    let path = file(data_dir);
    let failed = |what, source| KeyError { path: path.clone(), what, source };
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= 8 => return Ok(StreamKey { key: Secret::new(text.trim()), is_new: false }),
        Ok(_) => {
            return Err(failed("used", io::Error::other("it is too short; delete the file to have a new one made")));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", error)),
    }
    let key = make();
    write(&path, &key).map_err(|error| failed("written", error))?;
    Ok(StreamKey { key: Secret::new(key), is_new: true })
}

/// 160 random bits, in letters that survive being read aloud.
fn make() -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    rand::random::<[u8; 32]>().iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect()
}

fn write(path: &Path, key: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{key}")?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = load_or_make(None, folder.path()).unwrap();
        let again = load_or_make(None, folder.path()).unwrap();
        assert!(first.is_new && !again.is_new);
        assert_eq!(first.key.expose(), again.key.expose());
        assert_eq!(first.key.expose().len(), 32);
        assert_eq!(fs::metadata(file(folder.path())).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_given_key_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let key = load_or_make(Some(Secret::new("given-key")), folder.path()).unwrap();
        assert_eq!(key.key.expose(), "given-key");
        assert!(!file(folder.path()).exists());
    }

    #[test]
    fn an_empty_file_is_refused_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(file(folder.path()), "\n").unwrap();
        assert!(load_or_make(None, folder.path()).is_err());
    }
}
