//! Files that must not exist before, and the directories that are safe for them.

use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    process::geteuid,
};

/// The bit of a directory in which only the owner of a file can rename or remove it.
const STICKY: u32 = 0o1000;

/// Writes `text` as the new file `path`, with exactly the permissions `mode`. After a crash it is
/// there as a whole, or not at all.
///
/// # Errors
/// The I/O error of the system; of the kind `AlreadyExists` if there is a file of that name, which
/// stays as it is.
pub fn write_new(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let temporary = format!(".{}.{}.new", name.to_string_lossy(), process::id());
    let temporary = path.with_file_name(temporary);
    let directory = directory_of(path);
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(mode & 0o600).open(&temporary)?;
    let mut write = || -> io::Result<()> {
        file.write_all(text)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        renameat_with(CWD, &temporary, CWD, path, RenameFlags::NOREPLACE)?;
        File::open(directory)?.sync_all()
    };
    write().inspect_err(|_| {
        fs::remove_file(&temporary).ok();
    })
}

/// A path that users other than root and the caller can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenPath {
    /// It belongs to this user.
    OfUser(PathBuf, u32),
    /// Its group or everybody may write to it.
    Writable(PathBuf),
}

/// The directory of a file.
#[must_use]
pub fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// The first directory on the way from `directory` to the root in which others can replace files,
/// if there is one.
///
/// # Errors
/// The I/O error of the system.
pub fn open_directory(directory: &Path) -> io::Result<Option<OpenPath>> {
    for ancestor in directory.canonicalize()?.ancestors() {
        let found = fs::metadata(ancestor)?;
        if is_of_another(&found) {
            return Ok(Some(OpenPath::OfUser(ancestor.to_owned(), found.uid())));
        }
        if found.mode() & 0o022 != 0 && found.mode() & STICKY == 0 {
            return Ok(Some(OpenPath::Writable(ancestor.to_owned())));
        }
    }
    Ok(None)
}

/// The path by which others can exchange `file`: itself, if it is of another user, or a directory
/// on the way to it. Of a link, the ways to the link and to its target count.
///
/// # Errors
/// The I/O error of the system.
pub fn exchangeable(file: &Path) -> io::Result<Option<OpenPath>> {
    let target = file.canonicalize()?;
    let found = fs::metadata(&target)?;
    if is_of_another(&found) {
        return Ok(Some(OpenPath::OfUser(target, found.uid())));
    }
    Ok(match open_directory(directory_of(file))? {
        Some(open) => Some(open),
        None => open_directory(directory_of(&target))?,
    })
}

fn is_of_another(found: &Metadata) -> bool {
    ![0, geteuid().as_raw()].contains(&found.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
    }

    #[test]
    fn a_new_file_has_its_mode_and_none_is_written_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let [key, certificate] = ["a.key", "a.pem"].map(|name| dir.path().join(name));
        write_new(&key, b"secret", 0o600).expect("written");
        write_new(&certificate, b"public", 0o644).expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("it").mode() & 0o7777;
        assert_eq!((mode(&key), mode(&certificate)), (0o600, 0o644));
        let error = write_new(&key, b"another", 0o600).expect_err("it exists");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&key).expect("read"), b"secret");
        // A link to nowhere is a name that is taken, too.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).expect("made");
        write_new(&link, b"another", 0o600).expect_err("it exists");
        assert!(!dir.path().join("nowhere").exists());
        assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 3, "a temporary file is left");
        write_new(&dir.path().join("missing/a.key"), b"x", 0o600).expect_err("no directory");
    }

    #[test]
    fn a_directory_is_open_if_others_can_replace_it_or_a_file_in_it() {
        let dir = tempfile::tempdir_in("/tmp").expect("a directory");
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).expect("made");
        for (outer_mode, inner_mode, open) in [
            (0o700, 0o700, None),
            (0o755, 0o755, None),
            (0o755, 0o775, Some(&inner)),
            (0o755, 0o757, Some(&inner)),
            (0o755, 0o1777, None),
            (0o777, 0o700, Some(&dir.path().to_owned())),
        ] {
            set_mode(dir.path(), outer_mode);
            set_mode(&inner, inner_mode);
            let found = open_directory(&inner).expect("looked");
            let open = open.map(|open| OpenPath::Writable(open.clone()));
            assert_eq!(found, open, "{outer_mode:o} {inner_mode:o}");
        }
    }
    #[test]
    fn a_file_is_exchangeable_on_the_way_to_its_link_and_to_its_target() {
        let dir = tempfile::tempdir_in("/tmp").expect("a directory");
        let [links, files] = ["links", "files"].map(|name| dir.path().join(name));
        for directory in [&links, &files] {
            fs::create_dir(directory).expect("made");
        }
        let (file, link) = (files.join("file"), links.join("link"));
        fs::write(&file, "secret").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        for (links_mode, files_mode, open) in
            [(0o755, 0o755, None), (0o775, 0o755, Some(&links)), (0o755, 0o757, Some(&files))]
        {
            set_mode(&links, links_mode);
            set_mode(&files, files_mode);
            let open = open.map(|open| OpenPath::Writable(open.clone()));
            assert_eq!(exchangeable(&link).expect("looked"), open, "{links_mode:o} {files_mode:o}");
        }
        exchangeable(&dir.path().join("missing")).expect_err("no such file");
    }
}
