//! The measured figures, and the targets for aop.

use serde_json::{Value, json};

use crate::server::Layer;

/// A row of the tables. Smaller figures are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    ConnectionCpu,
    ConnectionWall,
    RequestCpu,
    RequestWall,
    BulkCpu,
    BulkWall,
    IdleMemory,
    ConnectionsAtOnce,
    RequestsAtOnce,
    /// 100 streams on each of two connections.
    ManyStreamsCpu,
    /// System calls for a request.
    SystemCalls,
}

/// A target for aop.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// At most this part of the best rival's figure.
    Ratio(f64),
    /// At most as many.
    Kibibytes(f64),
    Count(f64),
}

impl Row {
    pub(crate) const ALL: [Self; 11] = [
        Self::ConnectionCpu,
        Self::ConnectionWall,
        Self::RequestCpu,
        Self::RequestWall,
        Self::BulkCpu,
        Self::BulkWall,
        Self::IdleMemory,
        Self::ConnectionsAtOnce,
        Self::RequestsAtOnce,
        Self::ManyStreamsCpu,
        Self::SystemCalls,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ConnectionCpu => "handshake, 1 byte, close: CPU µs",
            Self::ConnectionWall => "handshake, 1 byte, close: wall µs",
            Self::RequestCpu => "1 KB request, 1 (8 × 16): CPU µs",
            Self::RequestWall => "1 KB request, 1 (8 × 16): wall µs",
            Self::BulkCpu => "bulk, per MB: CPU µs",
            Self::BulkWall => "bulk, per MB: wall µs",
            Self::IdleMemory => "idle kept connection: KiB",
            Self::ConnectionsAtOnce => "handshake, 8 at once: p99 µs",
            Self::RequestsAtOnce => "1 KB request, 8 (× 16): p99 µs",
            Self::ManyStreamsCpu => "1 KB request, 2 × 100: CPU µs",
            Self::SystemCalls => "1 KB request, 8 (× 16): sys. calls",
        }
    }

    /// Its name in the JSON document.
    fn key(self) -> &'static str {
        match self {
            Self::ConnectionCpu => "connection_cpu_us",
            Self::ConnectionWall => "connection_wall_us",
            Self::RequestCpu => "request_cpu_us",
            Self::RequestWall => "request_wall_us",
            Self::BulkCpu => "bulk_mb_cpu_us",
            Self::BulkWall => "bulk_mb_wall_us",
            Self::IdleMemory => "idle_kib",
            Self::ConnectionsAtOnce => "connection_8_p99_us",
            Self::RequestsAtOnce => "request_8_p99_us",
            Self::ManyStreamsCpu => "request_2x100_cpu_us",
            Self::SystemCalls => "request_system_calls",
        }
    }

    pub(crate) fn target(self, layer: Layer) -> Option<Target> {
        match (self, layer) {
            (Self::ConnectionCpu, _) => Some(Target::Ratio(0.45)),
            (Self::RequestCpu | Self::ManyStreamsCpu, Layer::Http2) => Some(Target::Ratio(1.0)),
            (Self::RequestCpu | Self::ManyStreamsCpu, _) => Some(Target::Ratio(0.90)),
            (Self::BulkCpu, _) => Some(Target::Ratio(0.70)),
            (Self::IdleMemory, Layer::Tcp) => Some(Target::Kibibytes(10.0)),
            (Self::IdleMemory, Layer::Http) => Some(Target::Kibibytes(12.0)),
            (Self::IdleMemory, Layer::Http2 | Layer::H2c) => Some(Target::Kibibytes(16.0)),
            (Self::SystemCalls, Layer::Http2) => Some(Target::Count(2.3)),
            (Self::RequestsAtOnce, Layer::Http2 | Layer::H2c) => Some(Target::Ratio(1.0)),
            (
                Self::ConnectionWall
                | Self::RequestWall
                | Self::BulkWall
                | Self::ConnectionsAtOnce
                | Self::RequestsAtOnce
                | Self::SystemCalls,
                _,
            ) => None,
        }
    }
}

/// A figure for each row.
#[derive(Clone, Debug)]
pub(crate) struct Measurements([f64; Row::ALL.len()]);

impl Default for Measurements {
    fn default() -> Self {
        Self([f64::INFINITY; Row::ALL.len()])
    }
}

impl Measurements {
    pub(crate) fn get(&self, row: Row) -> f64 {
        self.0[row as usize]
    }

    pub(crate) fn set(&mut self, row: Row, figure: f64) {
        self.0[row as usize] = figure;
    }

    /// Keeps the lesser figure of each row.
    pub(crate) fn keep_least(&mut self, other: Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own = own.min(other);
        }
    }

    pub(crate) fn json(&self) -> Value {
        let rows = Row::ALL.iter().map(|row| (row.key().to_owned(), json!(self.get(*row))));
        Value::Object(rows.collect())
    }
}
