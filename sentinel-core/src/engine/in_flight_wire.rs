//! Requests in flight, as they travel to other processes. Blocks cannot carry them: a request that hangs is in no
//! block.

use crate::engine::flights::InFlight;
use crate::event::tenant::MAX_ID;
use crate::util::error::DecodeError;
use crate::util::wire::{Reader, Writer};
use std::collections::HashMap;

const LIVE_MAGIC: [u8; 4] = *b"SNTL";
const LIVE_VERSION: u8 = 1;
/// Most tenants in a message, and most tenants of other processes that an engine keeps.
pub(crate) const MAX_LIVE_TENANTS: usize = 16_384;

/// Requests in flight in one process at one moment, by tenant.
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
    /// Moment of the count, Unix ms.
    pub(crate) as_of_ms: i64,
    /// Tenants by the summed age of their requests, largest first.
    pub(crate) in_flight: Vec<(Vec<u8>, InFlight)>,
}

impl Live {
    pub(crate) fn new(source: u64, as_of_ms: i64, all: HashMap<Vec<u8>, InFlight>, tenants: usize) -> Self {
        let mut in_flight: Vec<_> = all.into_iter().collect();
        in_flight.sort_by(|(a, x), (b, y)| y.sum_ms.cmp(&x.sum_ms).then_with(|| a.cmp(b)));
        in_flight.truncate(tenants.min(MAX_LIVE_TENANTS));
        Self { source, as_of_ms, in_flight }
    }

    /// Id of the process that these requests are in flight in.
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

    /// Ages as of `now_ms`: each request is assumed to be still in flight.
    pub(crate) fn as_of(&self, now_ms: i64) -> impl Iterator<Item = (&[u8], InFlight)> {
        let since = now_ms.saturating_sub(self.as_of_ms).max(0) as u64;
        self.in_flight.iter().map(move |(id, flights)| {
            let sum_ms = flights.sum_ms.saturating_add(flights.count.saturating_mul(since));
            (&id[..], InFlight { oldest_ms: flights.oldest_ms.saturating_add(since), sum_ms, ..*flights })
        })
    }

    /// Encodes the requests in flight for [`Live::decode`] in another process.
    ///
    /// ```
    /// # use sentinel_core::{Live, Sentinel};
    /// let live = Sentinel::builder().build()?.live(512);
    /// assert_eq!(Live::decode(&live.encode())?, live);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(LIVE_MAGIC, LIVE_VERSION, 32 + 32 * self.in_flight.len());
        out.0.extend_from_slice(&self.source.to_le_bytes());
        out.signed(self.as_of_ms);
        out.number(self.in_flight.len() as u64);
        for (id, flights) in &self.in_flight {
            out.bytes(id);
            out.numbers([flights.count, flights.oldest_ms, flights.sum_ms]);
        }
        out.finish()
    }

    /// Decodes the bytes that [`Live::encode`] wrote.
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
        let mut input = Reader::open(bytes, LIVE_MAGIC, LIVE_VERSION)?;
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
