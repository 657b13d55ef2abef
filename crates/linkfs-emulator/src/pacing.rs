use serde::{Deserialize, Serialize};

/// How slow the emulated network is, for every answer alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pacing {
    /// Waited before each answer of the API.
    pub api_latency_ms: u64,
    /// Waited before each answer of the object store.
    pub data_latency_ms: u64,
    /// Bytes a second of each body on the data port; 0 is as fast as the machine allows.
    pub rate_per_stream: u64,
    /// Bytes a second of all bodies on the data port together; 0 is as fast as the machine allows.
    pub link_rate: u64,
}
