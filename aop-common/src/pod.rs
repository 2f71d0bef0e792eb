//! Tells aya that the map layouts are plain bytes.
#![allow(unsafe_code, reason = "aya::Pod is an unsafe trait")]

use crate::{
    bucket::Bucket,
    layout::{Counter, InterfaceName, Peer, PeerKey, Ports, Prefix, Settings},
};

// SAFETY: five u32, no padding, every bit pattern valid.
unsafe impl aya::Pod for Settings {}
// SAFETY: an array of u64, no padding, every bit pattern valid.
unsafe impl aya::Pod for Ports {}
// SAFETY: one u32, every bit pattern valid.
unsafe impl aya::Pod for Prefix {}
// SAFETY: a u32 and sixteen bytes, no padding, every bit pattern valid.
unsafe impl aya::Pod for PeerKey {}
// SAFETY: five u64, no padding, every bit pattern valid.
unsafe impl aya::Pod for Peer {}
// SAFETY: two u64, no padding, every bit pattern valid.
unsafe impl aya::Pod for Counter {}
// SAFETY: sixteen bytes, every bit pattern valid.
unsafe impl aya::Pod for InterfaceName {}
// SAFETY: two u64, no padding, every bit pattern valid.
unsafe impl aya::Pod for Bucket {}
