//! Comparisons of the engine with independent readers, each a function of any bytes that panics
//! where the two disagree without a written reason. Tests call them with generated inputs, and the
//! fuzz targets with what libFuzzer finds.

mod choices;
mod chunks;
pub mod exchange;
mod frames;
mod heads;
pub mod hpack;
pub mod http2;
mod output;
pub mod request;
pub mod response;
mod split;
