//! Declares to aya that the map layouts are plain bytes.
#![allow(unsafe_code, reason = "aya::Pod is an unsafe trait")]

use crate::{
    bucket::Bucket,
    layout::{
        Counter, InterfaceName, LocalAddresses, PackedModes, PeerKey, PeerValue, Ports, Prefix,
        Settings, StrangerKey, StrangerValue,
    },
    prefix_table::Block,
};

// SAFETY: four u32, no padding, every bit pattern valid.
unsafe impl aya::Pod for Settings {}
// SAFETY: u64 and u32 in equal numbers of words, no padding, every bit pattern valid.
unsafe impl aya::Pod for PackedModes {}
// SAFETY: an array of u16, no padding, every bit pattern valid.
unsafe impl aya::Pod for Block {}
// SAFETY: arrays of bytes, no padding, every bit pattern valid.
unsafe impl aya::Pod for LocalAddresses {}
// SAFETY: an array of u64, no padding, every bit pattern valid.
unsafe impl aya::Pod for Ports {}
// SAFETY: one u32, every bit pattern valid.
unsafe impl aya::Pod for Prefix {}
// SAFETY: a u32 and sixteen bytes, no padding, every bit pattern valid.
unsafe impl aya::Pod for PeerKey {}
// SAFETY: five u64, no padding, every bit pattern valid.
unsafe impl aya::Pod for PeerValue {}
// SAFETY: two u16, a u32 and two u64, no padding, every bit pattern valid.
unsafe impl aya::Pod for StrangerKey {}
// SAFETY: five u64 and two u32, no padding, every bit pattern valid.
unsafe impl aya::Pod for StrangerValue {}
// SAFETY: two u64, no padding, every bit pattern valid.
unsafe impl aya::Pod for Counter {}
// SAFETY: sixteen bytes, every bit pattern valid.
unsafe impl aya::Pod for InterfaceName {}
// SAFETY: two u64, no padding, every bit pattern valid.
unsafe impl aya::Pod for Bucket {}
