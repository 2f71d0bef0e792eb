//! What the packet program costs: nanoseconds a packet, as the kernel measures them in
//! BPF_PROG_TEST_RUN, beside an empty XDP program in the same run. Needs root.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::time::Duration;

use aop_common::{
    Mode,
    corpus::{
        Scene,
        build::{Extension, Ip, Ipv4, Ipv6, Tcp},
    },
    layout::Ports,
};
use aop_userspace::{
    config::Udp,
    firewall::{PacketLog, Policy, Trial},
    prefixes::{self, Admission},
};
use aya::{
    EbpfLoader,
    programs::{TestRun, TestRunOptions, Xdp},
};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};

const TIMES: u32 = 1_000_000;
const ROUNDS: usize = 9;
/// The loopback interface, which every network namespace has as its first.
const LOOPBACK: u32 = 1;

fn main() {
    let scene = Scene::FIXED;
    let syn = |port| Tcp::syn(port);
    let v4 = |source, port| Ipv4::between(source, scene.v4.origin).tcp(&syn(port));
    let v6 = |source, port| Ipv6::between(source, scene.v6.origin).tcp(&syn(port));
    let chain = (0..3).fold(Ipv6::between(scene.v6.stranger, scene.v6.origin), |ip, _| {
        ip.with(Extension::destination(0))
    });
    let frames = [
        ("IPv4, another port", v4(scene.v4.stranger, scene.unguarded)),
        ("IPv4, admitted", v4(scene.v4.admitted, scene.guarded)),
        ("IPv4, stranger", v4(scene.v4.stranger, scene.guarded)),
        ("IPv6, another port", v6(scene.v6.stranger, scene.unguarded)),
        ("IPv6, admitted", v6(scene.v6.admitted, scene.guarded)),
        ("IPv6, stranger", v6(scene.v6.stranger, scene.guarded)),
        ("IPv6, stranger, 3 extensions", chain.tcp(&syn(scene.guarded))),
    ];
    let mut trial = Trial::new(&policy(scene.guarded), 0, PacketLog::Off).unwrap();
    let instructions = trial.verified_instructions().unwrap_or_default();
    let empty = Empty::load();

    // The empty program is measured around each frame: a noisy machine is noisy for both.
    println!("{:<30} {:>10} {:>10} {:>8}", "ns a packet", "aop", "empty", "aop adds");
    for (name, frame) in &frames {
        let mut best = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            best.0 = best.0.min(trial.repeat(frame, LOOPBACK, TIMES).unwrap().1);
            best.1 = best.1.min(empty.repeat(frame));
        }
        let (aop, bare) = (best.0.as_nanos(), best.1.as_nanos());
        println!("{name:<30} {aop:>10} {bare:>10} {:>8}", aop.saturating_sub(bare));
    }
    println!("best of {ROUNDS} rounds of {TIMES}; {instructions} verified instructions");
}

/// Cloudflare's prefixes, one guarded port.
fn policy(port: u16) -> Policy {
    let mut ports = Ports::NONE;
    ports.insert(port);
    let list = prefixes::snapshot().list.prefixes().to_vec();
    let admission = Admission::default().followed_by(&list, Duration::ZERO, 0);
    Policy { mode: Mode::Enforce, ports, admission, udp: Udp::Pass, probation: 0, budget: 0 }
}

/// An XDP program that passes everything.
struct Empty(aya::Ebpf);

impl Empty {
    fn load() -> Self {
        let mut ebpf = EbpfLoader::new().load(&Self::object()).unwrap();
        let program: &mut Xdp = ebpf.program_mut("empty").unwrap().try_into().unwrap();
        program.load().unwrap();
        Self(ebpf)
    }

    /// Two instructions: r0 = XDP_PASS, exit.
    fn object() -> Vec<u8> {
        let code = [0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
        let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        let section = object.add_section(Vec::new(), b"xdp".to_vec(), SectionKind::Text);
        object.append_section_data(section, &code, 8);
        let licence = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
        object.append_section_data(licence, b"GPL\0", 1);
        object.add_symbol(Symbol {
            name: b"empty".to_vec(),
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

    fn repeat(&self, frame: &[u8]) -> Duration {
        let program: &Xdp = self.0.program("empty").unwrap().try_into().unwrap();
        let options =
            TestRunOptions { data_in: Some(frame), repeat: TIMES, ..TestRunOptions::default() };
        program.test_run(options).unwrap().duration
    }
}
