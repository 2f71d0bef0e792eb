//! Writes an initramfs archive in cpio's "newc" format
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const DEVICE: u32 = 0o020_600;

#[derive(Default)]
pub(super) struct CpioArchive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    entries: u32,
}

impl CpioArchive {
    /// Adds a folder and its parents, each only once.
    pub(super) fn folder(&mut self, path: &str) {
        let path = path.trim_matches('/');
        if path.is_empty() || self.folders.contains(path) {
            return;
        }
        self.folder(parent(path));
        self.folders.insert(path.to_owned());
        self.entry(path, FOLDER, (0, 0), &[]);
    }

    /// Adds an executable file.
    pub(super) fn file(&mut self, path: &str, contents: &[u8]) {
        let path = path.trim_matches('/');
        self.folder(parent(path));
        self.entry(path, PROGRAM, (0, 0), contents);
    }

    /// Adds a file of this machine.
    pub(super) fn copy(&mut self, from: &Path, to: &str) -> Result<()> {
        let contents = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.file(to, &contents);
        Ok(())
    }

    /// Adds a character device.
    pub(super) fn device(&mut self, path: &str, major: u32, minor: u32) {
        let path = path.trim_matches('/');
        self.folder(parent(path));
        self.entry(path, DEVICE, (major, minor), &[]);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), contents: &[u8]) {
        self.entries += 1;
        let (size, name) = (contents.len() as u32, path.len() as u32 + 1);
        // inode, mode, uid, gid, links, mtime, size, device (2), rdevice (2), name size, checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name, 0];
        self.bytes.extend(b"070701");
        self.bytes.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
        self.bytes.extend(path.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(contents);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_once_and_before_their_content() {
        let mut archive = CpioArchive::default();
        archive.file("/usr/bin/a", b"first");
        archive.file("/usr/bin/b", b"second");
        let text = String::from_utf8(archive.finish()).expect("all of it is text");
        let at = |name| text.find(name).expect("it is there");
        assert!(at("usr\0") < at("usr/bin\0") && at("usr/bin\0") < at("usr/bin/a\0"));
        assert_eq!(text.matches("070701").count(), 5);
        assert_eq!(text.matches("usr/bin\0").count(), 1);
    }

    #[test]
    fn every_part_begins_at_a_multiple_of_four() {
        let mut archive = CpioArchive::default();
        archive.file("a", b"12345");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        // A header of 110 bytes and a name of two, already aligned.
        assert_eq!(&bytes[112..117], b"12345");
        assert_eq!(&bytes[120..126], b"070701");
    }
}
