use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use crate::digest::sha256_hex;
use crate::{Content, NewNode, ROOT_ID, Tree};

impl Tree {
    /// A drive that holds what the folder `root` holds, read from disk when it is asked for.
    ///
    /// Ids come from the paths below `root`, so they are the same after a restart. Symbolic links
    /// and special files are left out: a link could lead out of the folder.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn from_folder(root: impl AsRef<Path>) -> io::Result<Tree> {
        // It is read for as long as the tree is there, wherever the process goes meanwhile.
        let root = &std::path::absolute(root)?;
        let tree = Tree::new();
        let mut pending = vec![(root.to_owned(), ROOT_ID.to_owned())];
        while let Some((folder, parent)) = pending.pop() {
            for path in sorted_entries(&folder)? {
                let metadata = fs::symlink_metadata(&path)?;
                if !metadata.is_dir() && !metadata.is_file() {
                    continue;
                }
                let id = tree.add(describe(root, &path, &parent, &metadata)?);
                if metadata.is_dir() {
                    pending.push((path, id));
                }
            }
        }
        Ok(tree)
    }
}

fn sorted_entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn describe(root: &Path, path: &Path, parent: &str, metadata: &Metadata) -> io::Result<NewNode> {
    let relative = path.strip_prefix(root).map_err(io::Error::other)?;
    let hash = sha256_hex(relative.as_os_str().as_encoded_bytes());
    let name = path.file_name().unwrap_or_default();
    let content = metadata.is_file().then(|| Content::File {
        path: path.to_owned(),
        size: metadata.len(),
    });
    let modified = metadata.modified()?;
    Ok(NewNode {
        parent: parent.into(),
        name: name.to_string_lossy().into_owned(),
        content,
        id: Some(format!("F{}", &hash[..20])),
        created: millis(metadata.created().unwrap_or(modified)),
        modified: millis(modified),
        type_code: None,
    })
}

fn millis(time: SystemTime) -> Option<Timestamp> {
    let exact = Timestamp::try_from(time).ok()?;
    Timestamp::from_millisecond(exact.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_a_drive_with_lasting_ids() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/a.txt"), "hello").unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
        let first = Tree::from_folder(folder.path()).unwrap();
        let second = Tree::from_folder(folder.path()).unwrap();
        let id = first.id_at("sub/a.txt").unwrap();
        assert_eq!(second.id_at("sub/a.txt"), Some(id.clone()));
        assert_eq!(first.read(&id, 1, 3).unwrap(), "ell");
        assert_eq!(first.id_at("link"), None);
    }
}
