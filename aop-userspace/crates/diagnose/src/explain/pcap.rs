//! Reads Ethernet frames in tcpdump's classic capture format (draft-ietf-opsawg-pcap): both byte
//! orders, microseconds and nanoseconds. pcapng is not supported.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// The block type of pcapng's section header, a palindrome: it reads the same in both byte orders.
const PCAPNG: u32 = 0x0a0d_0d0a;
const ETHERNET: u32 = 1;
/// Mask of the link type; the other bits describe the frame check sequence.
const LINK_TYPE_MASK: u32 = 0x0fff_ffff;
/// tcpdump's MAXIMUM_SNAPLEN. A longer frame means that the file is damaged.
const MAX_FRAME: u32 = 262_144;

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum PcapError {
    #[error("{}: cannot read the capture: {error}", .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error(
        "{}: this is pcapng, and aop reads only the classic format; convert it: \
         tcpdump -r {} -w classic.pcap", .0.display(), .0.display()
    )]
    Pcapng(PathBuf),
    #[error("{}: not a capture in pcap format", .0.display())]
    NoPcap(PathBuf),
    #[error(
        "{}: link type {link}, but the firewall reads only Ethernet frames (1); capture on \
         the guarded interface itself, not on \"any\"", .path.display()
    )]
    LinkType { path: PathBuf, link: u32 },
    #[error("{}: frame {number} claims {length} bytes; the file is damaged", .path.display())]
    Damaged { path: PathBuf, number: u64, length: u32 },
}

/// An open capture.
pub(super) struct Pcap<R> {
    path: PathBuf,
    from: R,
    order: Order,
    read: u64,
}

/// The next part of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A frame in its length on the wire. Bytes that were not captured are zero.
    Frame(Vec<u8>),
    /// The end of the file.
    End,
    /// The file ends within a frame.
    Truncated,
}

#[derive(Clone, Copy)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Big => u32::from_be_bytes(bytes),
            Self::Little => u32::from_le_bytes(bytes),
        }
    }
}

impl Pcap<BufReader<File>> {
    pub(super) fn open(path: &Path) -> Result<Self, PcapError> {
        let file =
            File::open(path).map_err(|error| PcapError::Unreadable { path: path.into(), error })?;
        Pcap::read(path, BufReader::new(file))
    }
}

impl<R: Read> Pcap<R> {
    /// Reads the file header: magic number, version, two reserved words, snap length, link type.
    fn read(path: &Path, mut from: R) -> Result<Self, PcapError> {
        let no_pcap = || PcapError::NoPcap(path.into());
        let header: [[u8; 4]; 6] = words(&mut from)
            .map_err(|error| PcapError::Unreadable { path: path.into(), error })?
            .ok_or_else(no_pcap)?;
        let [magic, .., link] = header;
        let known = |order: &Order| [MICROSECONDS, NANOSECONDS].contains(&order.u32(magic));
        if Order::Big.u32(magic) == PCAPNG {
            return Err(PcapError::Pcapng(path.into()));
        }
        let order = [Order::Big, Order::Little].into_iter().find(known).ok_or_else(no_pcap)?;
        match order.u32(link) & LINK_TYPE_MASK {
            ETHERNET => Ok(Self { path: path.into(), from, order, read: 0 }),
            link => Err(PcapError::LinkType { path: path.into(), link }),
        }
    }

    pub(super) fn next_record(&mut self) -> Result<Record, PcapError> {
        let unreadable = |error| PcapError::Unreadable { path: self.path.clone(), error };
        let mut first = [0];
        if self.from.read(&mut first).map_err(unreadable)? == 0 {
            return Ok(Record::End);
        }
        self.read += 1;
        // Seconds, fraction, captured length, original length.
        let header = words(&mut (&first[..]).chain(&mut self.from)).map_err(unreadable)?;
        let Some([_, _, kept, wire]) = header else { return Ok(Record::Truncated) };
        let (kept, wire) = (self.order.u32(kept), self.order.u32(wire));
        let length = kept.max(wire);
        if length > MAX_FRAME {
            return Err(PcapError::Damaged { path: self.path.clone(), number: self.read, length });
        }
        let mut frame = vec![0; length as usize];
        let (bytes, _) = frame.split_at_mut(kept as usize);
        match self.from.read_exact(bytes) {
            Ok(()) => Ok(Record::Frame(frame)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Record::Truncated),
            Err(error) => Err(unreadable(error)),
        }
    }
}

/// The next `N` words; `None` if the file ends before.
fn words<const N: usize>(from: &mut impl Read) -> io::Result<Option<[[u8; 4]; N]>> {
    let mut words = [[0; 4]; N];
    match from.read_exact(words.as_flattened_mut()) {
        Ok(()) => Ok(Some(words)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(magic: u32, link: u32, order: fn(u32) -> [u8; 4], rest: &[u32]) -> Vec<u8> {
        let head = [magic, 0x0002_0004, 0, 0, 65_535, link];
        head.iter().chain(rest).flat_map(|word| order(*word)).collect()
    }

    fn open(bytes: &[u8]) -> Result<Pcap<&[u8]>, PcapError> {
        Pcap::read(Path::new("a.pcap"), bytes)
    }

    #[test]
    fn both_byte_orders_and_both_resolutions_are_read() {
        for magic in [MICROSECONDS, NANOSECONDS] {
            for order in [u32::to_be_bytes, u32::to_le_bytes] {
                let mut bytes = capture(magic, ETHERNET, order, &[7, 9, 3, 3]);
                bytes.extend([1, 2, 3]);
                let mut pcap = open(&bytes).expect("a capture");
                assert_eq!(pcap.next_record().expect("read"), Record::Frame(vec![1, 2, 3]));
                assert_eq!(pcap.next_record().expect("read"), Record::End);
            }
        }
    }

    #[test]
    fn a_truncated_frame_is_padded_to_its_length_on_the_wire() {
        let mut bytes = capture(MICROSECONDS, ETHERNET, u32::to_le_bytes, &[0, 0, 2, 4]);
        bytes.extend([1, 2]);
        assert_eq!(
            open(&bytes).expect("ok").next_record().expect("read"),
            Record::Frame(vec![1, 2, 0, 0])
        );
    }

    #[test]
    fn a_file_that_ends_within_a_frame_is_reported() {
        let whole = capture(MICROSECONDS, ETHERNET, u32::to_le_bytes, &[0, 0, 8, 8, 1]);
        for missing in 0..20 {
            let mut pcap = open(&whole[..whole.len() - missing]).expect("a header");
            let expected = if missing == 20 { Record::End } else { Record::Truncated };
            assert_eq!(pcap.next_record().expect("read"), expected, "{missing} bytes missing");
        }
    }

    #[test]
    fn other_formats_and_link_types_are_refused_with_their_name() {
        let refused = |bytes: &[u8]| open(bytes).err().expect("refused").to_string();
        let cooked = capture(MICROSECONDS, 113, u32::to_le_bytes, &[]);
        assert!(refused(&cooked).contains("link type 113"));
        assert!(refused(&capture(PCAPNG, 0, u32::to_le_bytes, &[])).contains("tcpdump -r a.pcap"));
        assert!(refused(b"").contains("not a capture"));
        assert!(refused(&[7; 24]).contains("not a capture"));
        let damaged = capture(MICROSECONDS, ETHERNET, u32::to_le_bytes, &[0, 0, u32::MAX, 1]);
        let error =
            open(&damaged).expect("a header").next_record().expect_err("refused").to_string();
        assert!(error.contains("frame 1 claims"), "{error}");
    }
}
