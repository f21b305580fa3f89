//! Names of the files in the directory, and the meaning of each name.

use std::fmt;

/// A file of the directory.
///
/// ```
/// use sentinel_exporter::rollup::Name;
///
/// let name = Name::Block { source: 0xacce, from_ms: 1_700_000_000_000, to_ms: 1_700_000_010_000 };
/// assert_eq!(name.to_string(), "000000000000acce.1700000000000.1700000010000.rollup");
/// assert_eq!(Name::parse(name.to_string().as_bytes()), Some(name));
/// assert_eq!(Name::parse(b"notes.txt"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Name {
    /// Block of one source and slot. Both ends of the slot are in the name, so that clean-up need not open the file.
    Block {
        /// The process that counted.
        source: u64,
        /// Start of the slot, Unix ms.
        from_ms: i64,
        /// End of the slot (exclusive, after its start), Unix ms.
        to_ms: i64,
    },
    /// Locked as long as its source lives.
    Lock {
        /// The process.
        source: u64,
    },
    /// Requests that a source has in flight.
    Live {
        /// The process.
        source: u64,
    },
    /// A file that is being written, renamed when it is complete.
    Temporary {
        /// The process that writes it.
        source: u64,
        /// Number of the file among those of this process.
        number: u64,
    },
    /// Baseline that the leader has written down for all.
    Baseline,
    /// Locked by the leader.
    Leader,
    /// Locked by the process that alerts people.
    Alerting,
    /// Journal of alerts.
    Alerts,
    /// Locked by the process that writes the journal.
    State,
    /// Locked by the process that probes and writes the results.
    Probing,
    /// Log of the results of uptime checks, one part of the checks a file: 0 to 99.
    Checks {
        /// Number of the part.
        part: u8,
    },
}

impl Name {
    /// The one file that a name stands for; `None` when it is not spelled as [`Name`] spells it.
    ///
    /// ```
    /// # use sentinel_exporter::rollup::Name;
    /// assert_eq!(Name::parse(b"baseline"), Some(Name::Baseline));
    /// assert_eq!(Name::parse(b"000000000000acce.10.0.rollup"), None); // ends before it starts
    /// ```
    pub fn parse(name: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(name).ok().filter(|text| text.len() < 100)?;
        let parsed = match text {
            "baseline" => Self::Baseline,
            "leader.lock" => Self::Leader,
            "alerts.lock" => Self::Alerting,
            "alerts.journal" => Self::Alerts,
            "state.lock" => Self::State,
            "uptime.lock" => Self::Probing,
            _ if text.starts_with("uptime-") => {
                let part = text.strip_prefix("uptime-")?.strip_suffix(".log")?.parse().ok()?;
                (part < 100).then_some(Self::Checks { part })?
            }
            _ => Self::of_a_source(text)?,
        };
        // A number has many spellings; a file has one name.
        (parsed.to_string() == text).then_some(parsed)
    }

    fn of_a_source(text: &str) -> Option<Self> {
        let (hidden, text) = text.strip_prefix('.').map_or((false, text), |rest| (true, rest));
        let (source, rest) = text.split_once('.')?;
        let source = u64::from_str_radix(source, 16).ok()?;
        if hidden {
            return Some(Self::Temporary { source, number: rest.strip_suffix(".tmp")?.parse().ok()? });
        }
        match rest {
            "lock" => Some(Self::Lock { source }),
            "live" => Some(Self::Live { source }),
            _ => {
                let (from, to) = rest.strip_suffix(".rollup")?.split_once('.')?;
                let (from_ms, to_ms) = (from.parse().ok()?, to.parse().ok()?);
                (from_ms < to_ms).then_some(Self::Block { source, from_ms, to_ms })
            }
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block { source, from_ms, to_ms } => write!(f, "{source:016x}.{from_ms}.{to_ms}.rollup"),
            Self::Lock { source } => write!(f, "{source:016x}.lock"),
            Self::Live { source } => write!(f, "{source:016x}.live"),
            Self::Temporary { source, number } => write!(f, ".{source:016x}.{number}.tmp"),
            Self::Baseline => f.write_str("baseline"),
            Self::Leader => f.write_str("leader.lock"),
            Self::Alerting => f.write_str("alerts.lock"),
            Self::Alerts => f.write_str("alerts.journal"),
            Self::State => f.write_str("state.lock"),
            Self::Probing => f.write_str("uptime.lock"),
            Self::Checks { part } => write!(f, "uptime-{part:02}.log"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn another_spelling_is_another_file() {
        for name in [
            "",
            ".",
            "..",
            "1.lock",
            "000000000000ACCE.lock",
            "+00000000000acce.lock",
            "000000000000acce.lock ",
            "000000000000acce.+1.2.rollup",
            "000000000000acce.01.2.rollup",
            "000000000000acce.1.1.rollup",
            "000000000000acce.1.2.3.rollup",
            "000000000000acce.1.99999999999999999999.rollup",
            ".000000000000acce.tmp",
            "Baseline",
            "leader",
            "uptime-1.log",
            "uptime-100.log",
            "uptime-+1.log",
        ] {
            assert_eq!(Name::parse(name.as_bytes()), None, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_read_back(part in 0_u8..100, source: u64, from_ms in -i64::MAX..i64::MAX - 1, long in 1_i64..100_000, number: u64) {
            let to_ms = from_ms.saturating_add(long);
            let names = [
                Name::Block { source, from_ms, to_ms },
                Name::Lock { source },
                Name::Live { source },
                Name::Temporary { source, number },
                Name::Checks { part },
            ];
            for name in names {
                prop_assert_eq!(Name::parse(name.to_string().as_bytes()), Some(name));
            }
        }

        #[test]
        fn any_bytes_are_a_name_or_not(bytes: Vec<u8>) {
            if let Some(name) = Name::parse(&bytes) {
                prop_assert_eq!(name.to_string().into_bytes(), bytes);
            }
        }
    }
}
