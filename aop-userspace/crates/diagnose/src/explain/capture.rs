//! The verdicts on the frames of a capture, grouped by source, port and reason.

use std::{cmp::Reverse, collections::HashMap, net::IpAddr, path::Path};

use aop_api::{CaptureExplanation, CaptureVerdict};
use aop_common::{Bytes, Segment};
use aop_firewall::{DryRun, FrameVerdict};

use super::{
    ExplainError, Why,
    pcap::{Next, Pcap},
    why,
};

/// Runs every frame of the capture at `path` through the loaded firewall.
///
/// # Errors
/// The file is not an Ethernet capture in pcap format, or the kernel refuses to run a frame.
pub fn capture(live: &mut DryRun, path: &Path) -> Result<CaptureExplanation, ExplainError> {
    let mut pcap = Pcap::open(path)?;
    let guarded: Vec<u16> = (0..=u16::MAX).filter(|port| live.ports().contains(*port)).collect();
    let mut groups: HashMap<Key, CaptureVerdict> = HashMap::new();
    let (mut frames, mut too_short) = (0, 0);
    let ends_early = loop {
        let frame = match pcap.next()? {
            Next::Frame(frame) if frame.len() < DryRun::SHORTEST => {
                too_short += 1;
                continue;
            }
            Next::Frame(frame) => frame,
            Next::End => break false,
            Next::EndsEarly => break true,
        };
        frames += 1;
        let judged = live.judge(&frame)?;
        let read = Read::of(&frame);
        let key = (read.source, read.port, judged.action.name(), judged.verdict.reason());
        let group = groups.entry(key).or_insert_with(|| verdict(live, read, judged, &guarded));
        group.frames += 1;
        group.bytes += frame.len() as u64;
    };
    let mut verdicts: Vec<CaptureVerdict> = groups.into_values().collect();
    verdicts.sort_by_key(|group| (Reverse(group.frames), group.source, group.port));
    Ok(CaptureExplanation {
        file: path.display().to_string(),
        interface: live.interface().to_owned(),
        mode: why::mode(live.mode(None)).to_owned(),
        generation: live.generation(),
        frames,
        too_short,
        ends_early,
        verdicts,
    })
}

type Key = (Option<IpAddr>, Option<u16>, &'static str, &'static str);

/// The source and destination of a frame, as far as they are readable.
#[derive(Clone, Copy)]
struct Read {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    port: Option<u16>,
}

impl Read {
    fn of(frame: &[u8]) -> Self {
        let segment = Segment::read(&Bytes(frame));
        let flow = segment.flow();
        Self {
            source: flow.map(|flow| flow.source.into()),
            destination: flow.map(|flow| flow.destination.into()),
            port: segment.port(),
        }
    }
}

fn verdict(live: &DryRun, read: Read, judged: FrameVerdict, guarded: &[u16]) -> CaptureVerdict {
    let detail = match read.source {
        Some(source) => Why::of(live, source).detail(judged, read.port, read.destination, guarded),
        None => why::without_source(judged, guarded),
    };
    CaptureVerdict {
        action: judged.action.name().to_owned(),
        reason: judged.verdict.reason().to_owned(),
        would_drop: judged.would_drop(),
        detail,
        source: read.source,
        port: read.port,
        frames: 0,
        bytes: 0,
    }
}
