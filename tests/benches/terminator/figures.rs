//! What is measured of a server, and what aop's part of the best rival's figure may be.

use serde_json::{Value, json};

use crate::server::Layer;

/// A row of the tables. All figures are better the smaller they are.
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
}

/// A limit that aop is judged by.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Of the best rival's figure.
    Ratio(f64),
    /// Of the figure itself.
    Value(f64),
}

impl Row {
    pub(crate) const ALL: [Self; 9] = [
        Self::ConnectionCpu,
        Self::ConnectionWall,
        Self::RequestCpu,
        Self::RequestWall,
        Self::BulkCpu,
        Self::BulkWall,
        Self::IdleMemory,
        Self::ConnectionsAtOnce,
        Self::RequestsAtOnce,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ConnectionCpu => "handshake, 1 byte, close: CPU µs",
            Self::ConnectionWall => "handshake, 1 byte, close: wall µs",
            Self::RequestCpu => "1 KB request, kept: CPU µs",
            Self::RequestWall => "1 KB request, kept: wall µs",
            Self::BulkCpu => "bulk, per MB: CPU µs",
            Self::BulkWall => "bulk, per MB: wall µs",
            Self::IdleMemory => "idle kept connection: KiB",
            Self::ConnectionsAtOnce => "handshake, 8 at once: p99 µs",
            Self::RequestsAtOnce => "1 KB request, 8 at once: p99 µs",
        }
    }

    /// Its name in the document.
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
        }
    }

    pub(crate) fn target(self, layer: Layer) -> Option<Target> {
        match (self, layer) {
            (Self::ConnectionCpu, _) => Some(Target::Ratio(0.50)),
            (Self::RequestCpu, _) => Some(Target::Ratio(0.85)),
            (Self::BulkCpu, _) => Some(Target::Ratio(0.60)),
            (Self::IdleMemory, Layer::Tcp) => Some(Target::Value(10.0)),
            (Self::IdleMemory, Layer::Http) => Some(Target::Value(16.0)),
            (
                Self::ConnectionWall
                | Self::RequestWall
                | Self::BulkWall
                | Self::ConnectionsAtOnce
                | Self::RequestsAtOnce,
                _,
            ) => None,
        }
    }
}

/// A figure for each row.
#[derive(Clone, Debug)]
pub(crate) struct Figures([f64; Row::ALL.len()]);

impl Default for Figures {
    fn default() -> Self {
        Self([f64::INFINITY; Row::ALL.len()])
    }
}

impl Figures {
    pub(crate) fn get(&self, row: Row) -> f64 {
        self.0[row as usize]
    }

    pub(crate) fn set(&mut self, row: Row, figure: f64) {
        self.0[row as usize] = figure;
    }

    /// Of each row the lesser figure.
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
