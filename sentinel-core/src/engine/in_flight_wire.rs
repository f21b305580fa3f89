//! Requests in flight, for other processes: a request that hangs is in no block.

use crate::engine::flights::InFlight;
use crate::event::tenant::MAX_ID;
use crate::util::error::DecodeError;
use crate::util::wire::{Reader, Writer};
use std::collections::HashMap;

const MAGIC: [u8; 4] = *b"SNTL";
const VERSION: u8 = 1;
/// Tenants of other processes that are kept, at most.
pub(crate) const MAX_LIVE: usize = 16_384;

/// What is in flight in a process at a moment, by tenant.
///
/// ```
/// use sentinel_core::{Live, Sentinel};
///
/// let (here, there) = (Sentinel::builder().build()?, Sentinel::builder().build()?);
/// let request = there.start_as(b"acme");
/// let bytes = there.live(512).encode();
/// here.set_live(vec![Live::decode(&bytes)?]);
/// assert_eq!(here.report(Default::default()).tenants[0].in_flight, 1);
/// # drop(request);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    pub(crate) source: u64,
    pub(crate) as_of_ms: i64,
    /// Those that have taken longest together come first.
    pub(crate) in_flight: Vec<(Vec<u8>, InFlight)>,
}

impl Live {
    pub(crate) fn new(source: u64, as_of_ms: i64, all: HashMap<Vec<u8>, InFlight>, tenants: usize) -> Self {
        let mut in_flight: Vec<_> = all.into_iter().collect();
        in_flight.sort_by(|(a, x), (b, y)| y.sum_ms.cmp(&x.sum_ms).then_with(|| a.cmp(b)));
        in_flight.truncate(tenants.min(MAX_LIVE));
        Self { source, as_of_ms, in_flight }
    }

    /// Id of the process.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// let sentinel = Sentinel::builder().build()?;
    /// assert_eq!(sentinel.live(512).source(), sentinel.source());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn source(&self) -> u64 {
        self.source
    }

    /// As of `now_ms`: what was in flight has taken longer since.
    pub(crate) fn as_of(&self, now_ms: i64) -> impl Iterator<Item = (&[u8], InFlight)> {
        let since = now_ms.saturating_sub(self.as_of_ms).max(0) as u64;
        self.in_flight.iter().map(move |(id, flights)| {
            let sum_ms = flights.sum_ms.saturating_add(flights.count.saturating_mul(since));
            (&id[..], InFlight { oldest_ms: flights.oldest_ms.saturating_add(since), sum_ms, ..*flights })
        })
    }

    /// The bytes that another process decodes; see [`Live`].
    ///
    /// ```
    /// # use sentinel_core::{Live, Sentinel};
    /// let live = Sentinel::builder().build()?.live(512);
    /// assert_eq!(Live::decode(&live.encode())?, live);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION, 32 + 32 * self.in_flight.len());
        out.0.extend_from_slice(&self.source.to_le_bytes());
        out.signed(self.as_of_ms);
        out.number(self.in_flight.len() as u64);
        for (id, flights) in &self.in_flight {
            out.bytes(id);
            out.numbers([flights.count, flights.oldest_ms, flights.sum_ms]);
        }
        out.finish()
    }

    /// Reads what [`Live::encode`] wrote.
    ///
    /// # Errors
    /// A [`DecodeError`] for everything else. Memory is bounded by the length of `bytes`.
    ///
    /// ```
    /// use sentinel_core::{DecodeError, Live};
    ///
    /// assert!(matches!(Live::decode(b""), Err(DecodeError::Truncated { at: 0 })));
    /// ```
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::open(bytes, MAGIC, VERSION)?;
        let source = u64::from_le_bytes(input.array()?);
        let as_of_ms = input.signed()?;
        let len = input.items("in flight", 4)?;
        let mut in_flight = Vec::new();
        for _ in 0..len {
            let id = input.text("tenant", MAX_ID)?.to_vec();
            let (count, oldest_ms, sum_ms) = (input.count("count")?, input.count("oldest_ms")?, input.count("sum_ms")?);
            in_flight.push((id, InFlight { count, oldest_ms, sum_ms }));
        }
        input.end()?;
        Ok(Self { source, as_of_ms, in_flight })
    }
}
