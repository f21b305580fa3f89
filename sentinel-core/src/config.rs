//! The options and their ranges. Options come from code or from environment variables.

use crate::event::ErrorClasses;
use crate::slot::histogram::bucket_of;
use crate::util::clock::Clock;
use crate::util::error::ConfigError;
use crate::util::grid::Grid;
use crate::util::units::{parse_duration, parse_size};
use std::time::Duration;

/// Options of a [`Sentinel`](crate::Sentinel); each has a default that fits a service with up to some thousand requests a second.
///
/// ```
/// use sentinel_core::{Builder, Sentinel};
/// use std::time::Duration;
///
/// let sentinel = Sentinel::builder()
///     .window(Duration::from_secs(300))
///     .budget(32 << 20)
///     .errors("4xx,5xx".parse()?)
///     .build()?;
/// assert_eq!(sentinel.report(Default::default()).window_ms, 300_000);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing happens until it is built"]
pub struct Builder {
    window: Duration,
    slot: Duration,
    /// Bytes.
    budget: usize,
    errors: ErrorClasses,
    places: usize,
    max_endpoints: usize,
    /// `None`: by the number of processors.
    stripes: Option<usize>,
    /// `None`: by the latencies of the fleet.
    slow_after: Option<Duration>,
    /// Unix ms.
    anchor_ms: i64,
    clock: Clock,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            window: Duration::from_mins(10),
            slot: Duration::from_secs(10),
            budget: 64 << 20,
            errors: ErrorClasses::default(),
            places: 2_048,
            max_endpoints: 1_024,
            stripes: None,
            slow_after: None,
            anchor_ms: 0,
            clock: Clock::system(),
        }
    }
}

/// Slots of a window, at most: two hours at the default slot of 10 s. A report reads the heads of all of them.
const MAX_SLOTS: i64 = 720;

impl Builder {
    /// Length of the window: 30 s to 24 h, a multiple of the slot, at most 720 slots. Default 10 min.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// # use std::time::Duration;
    /// assert!(Sentinel::builder().window(Duration::from_secs(3_600)).build().is_ok());
    /// assert!(Sentinel::builder().window(Duration::from_secs(1)).build().is_err());
    /// ```
    pub fn window(self, window: Duration) -> Self {
        Self { window, ..self }
    }

    /// Length of a slot, the steps in which the window moves: 1 s to 60 s in whole seconds. Default 10 s.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// # use std::time::Duration;
    /// assert!(Sentinel::builder().slot(Duration::from_secs(5)).build().is_ok());
    /// ```
    pub fn slot(self, slot: Duration) -> Self {
        Self { slot, ..self }
    }

    /// Memory that the sentinel may use, in bytes: 4 MiB to 64 GiB. Default 64 MiB.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// let error = Sentinel::builder().budget(1_000).build().unwrap_err();
    /// assert_eq!(error.to_string(), "budget: 1000 is not allowed; allowed: 4194304 to 68719476736 bytes");
    /// ```
    pub fn budget(self, budget: usize) -> Self {
        Self { budget, ..self }
    }

    /// Classes of statuses that count as errors. Default: server errors, `5xx`.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// let sentinel = Sentinel::builder().errors("4xx,5xx".parse()?).build()?;
    /// assert_eq!(sentinel.report(Default::default()).errors, "4xx+5xx");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn errors(self, errors: ErrorClasses) -> Self {
        Self { errors, ..self }
    }

    /// Places guaranteed for each weight (requests, errors, slow requests) in a stripe's slot: 8 to 16,384. Default 2,048.
    /// A slot holds six times as many tenants exactly; beyond them every count has a bound. A small budget lowers the number.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// assert!(Sentinel::builder().places(256).build().is_ok());
    /// ```
    pub fn places(self, places: usize) -> Self {
        Self { places, ..self }
    }

    /// Distinct endpoints, 1 to 4,000; further ones share `other`. Default 1,024.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// assert!(Sentinel::builder().max_endpoints(0).build().is_err());
    /// ```
    pub fn max_endpoints(self, max_endpoints: usize) -> Self {
        Self { max_endpoints, ..self }
    }

    /// Stripes that threads spread over: 1 to 64, a power of two. Default: the next power of two ≥ cores, fewer on a small budget.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// assert!(Sentinel::builder().stripes(4).build().is_ok());
    /// assert!(Sentinel::builder().stripes(3).build().is_err());
    /// ```
    pub fn stripes(self, stripes: usize) -> Self {
        Self { stripes: Some(stripes), ..self }
    }

    /// A request is slow when it takes longer than this: 1 µs to 71 min, rounded up to a bucket's edge (6 %).
    /// Default: the latency that 5 % of the fleet's requests exceed. The latency verdict always uses each tenant's own tail threshold.
    ///
    /// ```
    /// # use sentinel_core::{Event, Latency, Sentinel};
    /// # use std::time::Duration;
    /// let sentinel = Sentinel::builder().slow_after(Duration::from_millis(500)).build()?;
    /// sentinel.record(Event { tenant: b"acme", latency: Latency::from_millis(2_000.0), ..Event::default() });
    /// assert_eq!(sentinel.report(Default::default()).tenants[0].slow, 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn slow_after(self, slow_after: Duration) -> Self {
        Self { slow_after: Some(slow_after), ..self }
    }

    /// Slots begin at `anchor_ms` (Unix ms) plus whole slots. Default 0: aligned in UTC, so that hosts agree.
    ///
    /// ```
    /// # use sentinel_core::{Clock, Event, Sentinel};
    /// let sentinel = Sentinel::builder().anchor_ms(3).clock(Clock::manual(10_000)).build()?;
    /// sentinel.record(Event::default());
    /// assert_eq!(sentinel.blocks()[0].from_ms(), 3);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn anchor_ms(self, anchor_ms: i64) -> Self {
        Self { anchor_ms, ..self }
    }

    /// The clock. Default: the system's.
    ///
    /// ```
    /// # use sentinel_core::{Clock, Sentinel};
    /// assert_eq!(Sentinel::builder().clock(Clock::manual(7)).build()?.now_ms(), 7);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Reads the environment variables `SENTINEL_WINDOW`, `_SLOT`, `_BUDGET`, `_ERRORS`, `_PLACES`, `_MAX_ENDPOINTS`, `_STRIPES` and
    /// `_SLOW_AFTER`; each one that is set replaces the option. Durations as `10m` or seconds, sizes as `64MiB` or bytes.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the variable.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// let sentinel = Sentinel::builder().env()?.build()?;
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn env(self) -> Result<Self, ConfigError> {
        self.variables(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// As [`Builder::env`], with a function in place of the environment.
    fn variables(mut self, get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        fn read<T>(
            get: &impl Fn(&str) -> Option<String>,
            name: &str,
            parse: impl Fn(&str) -> Result<T, ConfigError>,
        ) -> Result<Option<T>, ConfigError> {
            let value = get(name).filter(|value| !value.is_empty());
            value.map(|value| parse(&value).map_err(|error| error.named(name))).transpose()
        }
        let count = |text: &str| text.parse().map_err(|_| ConfigError::new("", format!("{text:?}"), "a whole number"));
        self.window = read(&get, "SENTINEL_WINDOW", parse_duration)?.unwrap_or(self.window);
        self.slot = read(&get, "SENTINEL_SLOT", parse_duration)?.unwrap_or(self.slot);
        self.budget = read(&get, "SENTINEL_BUDGET", parse_size)?.unwrap_or(self.budget);
        self.errors = read(&get, "SENTINEL_ERRORS", str::parse)?.unwrap_or(self.errors);
        self.places = read(&get, "SENTINEL_PLACES", count)?.unwrap_or(self.places);
        self.max_endpoints = read(&get, "SENTINEL_MAX_ENDPOINTS", count)?.unwrap_or(self.max_endpoints);
        self.stripes = read(&get, "SENTINEL_STRIPES", count)?.or(self.stripes);
        self.slow_after = read(&get, "SENTINEL_SLOW_AFTER", parse_duration)?.or(self.slow_after);
        Ok(self)
    }

    /// Checks every option against its range, and chooses those that were left open.
    pub(crate) fn validated(self) -> Result<Config, ConfigError> {
        let seconds = |duration: Duration| format!("{} s", duration.as_secs_f64());
        if !(1..=60).contains(&self.slot.as_secs()) || self.slot.subsec_nanos() > 0 {
            return Err(ConfigError::new("slot", seconds(self.slot), "1 s to 60 s in whole seconds"));
        }
        if !(30..=86_400).contains(&self.window.as_secs()) {
            return Err(ConfigError::new("window", seconds(self.window), "30 s to 24 h"));
        }
        let (slot_ms, window_ms) = (self.slot.as_millis() as i64, self.window.as_millis() as i64);
        if window_ms % slot_ms != 0 || self.window.subsec_nanos() > 0 {
            return Err(ConfigError::new(
                "window",
                seconds(self.window),
                format!("a multiple of the slot ({})", seconds(self.slot)),
            ));
        }
        let slots = window_ms / slot_ms;
        if slots > MAX_SLOTS {
            return Err(ConfigError::new(
                "window",
                seconds(self.window),
                format!("at most {MAX_SLOTS} slots of {}", seconds(self.slot)),
            ));
        }
        within_budget(self.budget)?;
        within("places", self.places as u64, 8, 16_384, "")?;
        within("max_endpoints", self.max_endpoints as u64, 1, 4_000, "")?;
        if let Some(stripes) = self.stripes {
            within("stripes", stripes as u64, 1, 64, ", a power of two")?;
            if !stripes.is_power_of_two() {
                return Err(ConfigError::new("stripes", stripes.to_string(), "1 to 64, a power of two"));
            }
        }
        let slow_after = match self.slow_after.map(|limit| (limit, u32::try_from(limit.as_micros()))) {
            None => None,
            Some((_, Ok(us))) if us > 0 => Some(bucket_of(us)),
            Some((limit, _)) => return Err(ConfigError::new("slow_after", seconds(limit), "1 µs to 71 min")),
        };
        let grid = Grid { anchor_ms: self.anchor_ms.rem_euclid(slot_ms), slot_ms, slots };
        let stripes = self.stripes.unwrap_or_else(|| default_stripes(self.budget, self.places));
        let places = self.places.min(most_places(self.budget, stripes));
        let Self { budget, errors, max_endpoints, clock, .. } = self;
        Ok(Config { grid, budget, errors, places, max_endpoints, stripes, slow_after, clock })
    }
}

fn within_budget(budget: usize) -> Result<(), ConfigError> {
    within("budget", budget as u64, 4 << 20, 64 << 30, " bytes")
}

fn within(field: &str, value: u64, least: u64, most: u64, unit: &str) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::new(field, value.to_string(), format!("{least} to {most}{unit}")))
    }
}

/// Bytes of a tenant in a full table: an entry of 192 bytes, 12 bytes in the index, and some pages.
const TENANT_BYTES: usize = 256;
/// Tables of a stripe: the open one, and one that is being sealed or is the spare.
const TABLES_PER_STRIPE: usize = 2;
/// Tenants that a table holds exactly for each place of a weight.
const TENANTS_PER_PLACE: usize = 6;

/// Places that the tables of so many stripes can have within a quarter of the budget: all tables together may be full at once.
fn most_places(budget: usize, stripes: usize) -> usize {
    (budget / 4 / (stripes * TABLES_PER_STRIPE * TENANTS_PER_PLACE * TENANT_BYTES)).max(8)
}

/// Stripes when none are configured: the next power of two ≥ cores, at most 64, halved until the tables of all stripes fit.
fn default_stripes(budget: usize, places: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut stripes = cores.next_power_of_two().min(64);
    while stripes > 1 && places > most_places(budget, stripes) {
        stripes /= 2;
    }
    stripes
}

/// Options within their ranges.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) grid: Grid,
    /// Bytes.
    pub(crate) budget: usize,
    pub(crate) errors: ErrorClasses,
    /// Places for each weight in a stripe's table: 8 to 16,384.
    pub(crate) places: usize,
    pub(crate) max_endpoints: usize,
    /// A power of two.
    pub(crate) stripes: usize,
    /// The last bucket that is not slow; `None` = by the latencies of the fleet.
    pub(crate) slow_after: Option<u16>,
    pub(crate) clock: Clock,
}

impl Config {
    /// Options of the merged view of processes with these options, with `budget` bytes of its own. Nothing is recorded there, so one
    /// stripe is enough.
    pub(crate) fn aggregating(&self, budget: usize) -> Result<Self, ConfigError> {
        within_budget(budget)?;
        Ok(Self { budget, stripes: 1, places: self.places.min(most_places(budget, 1)), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(builder: Builder) -> String {
        builder.validated().map_or_else(|error| error.field, |_| "none".into())
    }

    #[test]
    fn every_range_has_its_edges() {
        let s = Duration::from_secs;
        let b = Builder::default;
        for good in [
            b(),
            b().slot(s(1)).window(s(720)),
            b().slot(s(60)).window(s(43_200)),
            b().window(s(30)),
            b().budget(4 << 20),
            b().budget(64 << 30),
            b().places(8),
            b().places(16_384),
            b().max_endpoints(1),
            b().max_endpoints(4_000),
            b().stripes(1),
            b().stripes(64),
            b().slow_after(Duration::from_micros(1)),
            b().slow_after(Duration::from_micros(u64::from(u32::MAX))),
        ] {
            assert_eq!(field(good), "none");
        }
        for (bad, name) in [
            (b().slot(s(0)), "slot"),
            (b().slot(s(61)), "slot"),
            (b().slot(Duration::from_millis(1_500)), "slot"),
            (b().window(s(20)), "window"),
            (b().window(s(86_410)), "window"),
            (b().window(s(605)), "window"),
            (b().window(s(7_210)), "window"),
            (b().budget((4 << 20) - 1), "budget"),
            (b().places(7), "places"),
            (b().places(16_385), "places"),
            (b().max_endpoints(4_001), "max_endpoints"),
            (b().stripes(0), "stripes"),
            (b().stripes(12), "stripes"),
            (b().slow_after(Duration::ZERO), "slow_after"),
            (b().slow_after(s(5_000)), "slow_after"),
        ] {
            assert_eq!(field(bad), name);
        }
    }

    #[test]
    fn the_environment_names_the_variable() {
        let one =
            |name: &'static str, value: &'static str| move |asked: &str| (asked == name).then(|| value.to_string());
        let config = Builder::default().variables(one("SENTINEL_WINDOW", "5m")).unwrap().validated().unwrap();
        assert_eq!(config.grid.slots, 30);
        let config = Builder::default().variables(one("SENTINEL_ERRORS", "4xx,5xx")).unwrap().validated().unwrap();
        assert_eq!(config.errors.to_string(), "4xx+5xx");
        for (name, value) in [
            ("SENTINEL_WINDOW", "ten"),
            ("SENTINEL_SLOT", "-1s"),
            ("SENTINEL_BUDGET", "64 apples"),
            ("SENTINEL_ERRORS", "all"),
            ("SENTINEL_PLACES", "1.5"),
            ("SENTINEL_MAX_ENDPOINTS", "x"),
            ("SENTINEL_STRIPES", "-2"),
            ("SENTINEL_SLOW_AFTER", "fast"),
        ] {
            let error = Builder::default().variables(one(name, value)).unwrap_err();
            assert_eq!(error.field, name);
            assert!(error.value.contains(value), "{error}");
        }
        assert!(Builder::default().variables(one("SENTINEL_WINDOW", "")).is_ok());
    }
}
