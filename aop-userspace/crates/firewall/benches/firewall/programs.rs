//! Minimal XDP programs, to compare with and to send with.

use std::time::Duration;

use aya::{
    Ebpf, EbpfLoader,
    programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};

pub(crate) const XDP_DROP: u8 = 1;
pub(crate) const XDP_PASS: u8 = 2;
pub(crate) const XDP_TX: u8 = 3;

/// A program of two instructions that returns the same action for every frame.
pub(crate) struct Bare(Ebpf);

impl Bare {
    pub(crate) fn returning(action: u8) -> Self {
        let mut ebpf = EbpfLoader::new().load(&object(action)).unwrap();
        let program: &mut Xdp = ebpf.program_mut("bare").unwrap().try_into().unwrap();
        program.load().unwrap();
        Self(ebpf)
    }

    pub(crate) fn program(&self) -> &Xdp {
        self.0.program("bare").unwrap().try_into().unwrap()
    }

    /// Attaches the program until the value is dropped.
    pub(crate) fn attach(&mut self, interface: &str) {
        let program: &mut Xdp = self.0.program_mut("bare").unwrap().try_into().unwrap();
        program.attach(interface, XdpMode::Driver).unwrap();
    }
}

/// The mean duration of a run.
pub(crate) fn repeat(program: &Xdp, frame: &[u8], times: u32) -> Duration {
    let options = TestRunOptions { data_in: Some(frame), repeat: times, ..Default::default() };
    program.test_run(options).unwrap().duration
}

/// Sends a frame `times` times out of the interface `from`, as fast as the other end accepts it.
/// `sender` must return XDP_TX.
pub(crate) fn send(sender: &Bare, frame: &[u8], from: u32, times: u32) {
    let length = frame.len() as u32;
    let words = [0, length, 0, from, 0, 0];
    let context: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
    let options = TestRunOptions {
        data_in: Some(frame),
        ctx_in: Some(&context),
        repeat: times,
        attrs: TestRunAttrs::new().xdp_live_frames(64),
        ..Default::default()
    };
    sender.program().test_run(options).unwrap();
}

/// An object with the code `r0 = action; exit`.
fn object(action: u8) -> Vec<u8> {
    let code = [0xb7, 0, 0, 0, action, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let section = object.add_section(Vec::new(), b"xdp".to_vec(), SectionKind::Text);
    object.append_section_data(section, &code, 8);
    let licence = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(licence, b"GPL\0", 1);
    object.add_symbol(Symbol {
        name: b"bare".to_vec(),
        value: 0,
        size: code.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    object.write().unwrap()
}
