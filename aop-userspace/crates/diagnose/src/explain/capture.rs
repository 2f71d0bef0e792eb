//! The verdicts on the frames of a capture, grouped by source, port and reason.

use std::{cmp::Reverse, collections::HashMap, net::IpAddr, path::Path};

use aop_api::{CaptureExplanation, CaptureVerdict};
use aop_firewall::{DryRun, FrameVerdict};

use super::{
    ExplainError, PrefixOwners, SourceState, guarded_ports,
    pcap::{Pcap, Record},
    reason::explain_unreadable,
};
use crate::frame::FrameAddresses;

/// Runs every frame of the capture at `path` through the loaded firewall.
///
/// # Errors
/// The file is not an Ethernet capture in pcap format, or the kernel refuses to run a frame.
pub fn capture(
    live: &mut DryRun,
    path: &Path,
    owners: PrefixOwners<'_>,
) -> Result<CaptureExplanation, ExplainError> {
    let mut pcap = Pcap::open(path)?;
    let guarded = guarded_ports(live);
    let mut groups: HashMap<Key, CaptureVerdict> = HashMap::new();
    let (mut frames, mut too_short) = (0, 0);
    let ends_early = loop {
        let frame = match pcap.next_record()? {
            Record::Frame(frame) if frame.len() < DryRun::SHORTEST => {
                too_short += 1;
                continue;
            }
            Record::Frame(frame) => frame,
            Record::End => break false,
            Record::Truncated => break true,
        };
        frames += 1;
        let judged = live.judge(&frame)?;
        let addresses = FrameAddresses::read(&frame);
        let key = (addresses.source, addresses.port, judged.action.name(), judged.verdict.reason());
        let group = groups
            .entry(key)
            .or_insert_with(|| verdict(live, addresses, judged, (&guarded, owners)));
        group.frames += 1;
        group.bytes += frame.len() as u64;
    };
    let mut verdicts: Vec<CaptureVerdict> = groups.into_values().collect();
    verdicts.sort_by_key(|group| (Reverse(group.frames), group.source, group.port));
    Ok(CaptureExplanation {
        file: path.display().to_string(),
        interface: live.interface().to_owned(),
        mode: live.mode(None).into(),
        generation: live.generation(),
        frames,
        too_short,
        ends_early,
        verdicts,
    })
}

type Key = (Option<IpAddr>, Option<u16>, &'static str, &'static str);

fn verdict(
    live: &DryRun,
    addresses: FrameAddresses,
    judged: FrameVerdict,
    (guarded, owners): (&[u16], PrefixOwners<'_>),
) -> CaptureVerdict {
    let FrameAddresses { source, destination, port } = addresses;
    let detail = match source {
        Some(source) => {
            let state = SourceState::read(live, source, owners);
            state.detail(judged, port, destination, guarded)
        }
        None => explain_unreadable(judged, guarded),
    };
    CaptureVerdict {
        action: judged.action.into(),
        reason: judged.verdict.reason().to_owned(),
        would_drop: judged.would_drop(),
        detail,
        source,
        port,
        frames: 0,
        bytes: 0,
    }
}
