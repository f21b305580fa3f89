//! The state as bytes, so that who leads next goes on where the last one stopped. Any bytes give a state or an error.

use super::group::{Listed, Notice, Status};
use super::key::{AlertId, Key, Subject};
use super::reading::{MAX_ENDPOINT, MAX_NAME, MAX_NOTE, MAX_WITH};
use super::rule::Rule;
use super::state::{Alert, Counts, Entry, Evidence, Phase, State, TargetEvidence, Why};
use super::{LISTED, MAX_KEYS};
use crate::event::tenant::MAX_ID;
use crate::uptime::{Cause, MAX_NAME as MAX_CHECK};
use crate::util::error::DecodeError;
use crate::util::wire::{Reader, Writer, invalid};
use crate::verdict::Kind;

const MAGIC: [u8; 4] = *b"SNTA";
const NOTICE: [u8; 4] = *b"SNTN";
const ALERT: [u8; 4] = *b"SNTE";
const VERSION: u8 = 1;
/// What a step may leave of those that are over.
const MAX_OVER: usize = 2 * MAX_KEYS;
/// The longest name of a service, in bytes.
const MAX_SERVICE: usize = 64;
/// The least that an entry, and an alert, takes.
const LEAST: usize = 6;
/// What a verdict can be; the place in the list is what is written.
const KINDS: [Option<Kind>; 7] = [
    None,
    Some(Kind::OneTenant),
    Some(Kind::FewTenants),
    Some(Kind::OneEndpoint),
    Some(Kind::Everyone),
    Some(Kind::Unclear),
    Some(Kind::Quiet),
];

impl State {
    /// The bytes that whoever leads next decodes.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
    /// # use sentinel_core::Kind;
    /// # let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
    /// let (state, _) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
    /// assert_eq!(State::decode(&state.encode())?, state);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION, 64 + 256 * (self.entries.len() + self.over.len()));
        out.moment(self.last_ms);
        out.moment(self.latest_ms);
        out.option(self.waited_ms, Writer::number);
        out.option(self.quiet_ms, Writer::number);
        let Counts { dropped, without_place, missing, notices } = self.counts;
        out.numbers([dropped, without_place, missing, notices]);
        out.number(self.entries.len() as u64);
        for (key, entry) in &self.entries {
            out.key(key);
            let Entry { phase, since_ms, held_ms, known, weight, normal_p95_ms, alert, told_ms } = entry;
            out.numbers([*phase as u64, u64::from(*known), *held_ms, *weight]);
            out.signed(*since_ms);
            out.float(*normal_p95_ms);
            out.option(*told_ms, Writer::number);
            out.option(alert.as_ref(), Writer::alert);
        }
        out.number(self.over.len() as u64);
        for alert in &self.over {
            out.key(&alert.key);
            out.alert(alert);
        }
        out.finish()
    }

    /// Reads what [`State::encode`] wrote.
    ///
    /// # Errors
    /// A [`DecodeError`] for everything else. Memory is bounded by the length of `bytes`.
    ///
    /// ```
    /// use sentinel_core::{DecodeError, alert::State};
    ///
    /// assert!(matches!(State::decode(b"SNTB"), Err(DecodeError::Magic { .. })));
    /// ```
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::open(bytes, MAGIC, VERSION)?;
        let mut state = Self {
            last_ms: input.moment()?,
            latest_ms: input.moment()?,
            waited_ms: input.option(Reader::number)?,
            quiet_ms: input.option(Reader::number)?,
            ..Self::default()
        };
        let counts = &mut state.counts;
        for count in [&mut counts.dropped, &mut counts.without_place, &mut counts.missing, &mut counts.notices] {
            *count = input.number()?;
        }
        for at in 0..input.few("entries", MAX_KEYS)? {
            let key = input.key()?;
            if state.entries.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(invalid("entries", at as u64, "keys in rising order"));
            }
            let phase = match input.number()? {
                1 => Phase::Pending,
                2 => Phase::Firing,
                3 => Phase::Recovering,
                other => return Err(invalid("phase", other, "1 to 3")),
            };
            let (known, held_ms, weight) = (input.flag("known")?, input.number()?, input.number()?);
            let (since_ms, normal_p95_ms) = (input.signed()?, input.float()?);
            let (told_ms, alert) = (input.option(Reader::number)?, input.option(|input| input.alert(&key))?);
            let fired = phase != Phase::Pending;
            if alert.as_ref().is_some_and(is_over) {
                return Err(invalid("resolved_ms", at as u64, "none where it is followed"));
            }
            if alert.is_some() != fired || told_ms.is_some() != alert.as_ref().is_some_and(|alert| alert.told) {
                return Err(invalid("phase", phase as u64, "an alert where it has fired, told where it was told"));
            }
            let entry = Entry { phase, since_ms, held_ms, known, weight, normal_p95_ms, alert, told_ms };
            state.entries.insert(key, entry);
        }
        for at in 0..input.few("over", MAX_OVER)? {
            let key = input.key()?;
            let alert = input.alert(&key)?;
            if alert.resolved_ms.is_none() || alert.why.is_none() {
                return Err(invalid("resolved_ms", at as u64, "a moment and a reason where it is over"));
            }
            state.over.push(alert);
        }
        input.end()?;
        Ok(state)
    }
}

impl Notice {
    /// The bytes that whoever sends it later decodes.
    ///
    /// ```
    /// use sentinel_core::alert::Notice;
    ///
    /// let notice = Notice::test("shop", 7);
    /// assert_eq!(Notice::decode(&notice.encode()), Ok(notice));
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(NOTICE, VERSION, 64 + 256 * self.listed.len());
        let Self { id, at_ms, service, listed, more, firing, resolved, still, without_place, test } = self;
        out.0.extend_from_slice(&id.0);
        out.signed(*at_ms);
        out.bytes(service.as_bytes());
        out.numbers([*more as u64, *firing as u64, *resolved as u64, *still as u64, *without_place, u64::from(*test)]);
        out.number(listed.len() as u64);
        for Listed { status, alert } in listed {
            out.number(*status as u64);
            out.key(&alert.key);
            out.alert(alert);
        }
        out.finish()
    }

    /// Reads what [`Notice::encode`] wrote.
    ///
    /// # Errors
    /// A [`DecodeError`] for everything else. Memory is bounded by the length of `bytes`.
    ///
    /// ```
    /// use sentinel_core::{DecodeError, alert::Notice};
    ///
    /// assert!(matches!(Notice::decode(b"SNTA"), Err(DecodeError::Magic { .. })));
    /// ```
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::open(bytes, NOTICE, VERSION)?;
        let (id, at_ms, service) = (AlertId(input.array()?), input.signed()?, input.utf8("service", MAX_SERVICE)?);
        let mut count = || Ok(input.number()? as usize);
        let (more, firing, resolved, still) = (count()?, count()?, count()?, count()?);
        let (without_place, test) = (input.number()?, input.flag("test")?);
        let mut listed = Vec::new();
        for _ in 0..input.few("listed", LISTED)? {
            let status = match input.number()? {
                0 => Status::Firing,
                1 => Status::Still,
                2 => Status::Resolved,
                other => return Err(invalid("status", other, "0 to 2")),
            };
            let key = input.key()?;
            listed.push(Listed { status, alert: input.alert(&key)? });
        }
        input.end()?;
        Ok(Self { id, at_ms, service, listed, more, firing, resolved, still, without_place, test })
    }
}

impl Alert {
    /// The bytes that whoever remembers it decodes.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Alert, Alerts, Facts, Rules, State};
    /// # use sentinel_core::Kind;
    /// # let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
    /// # let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
    /// let alert = outcome.transitions[0].alert.as_ref().unwrap();
    /// assert_eq!(Alert::decode(&alert.encode()).as_ref(), Ok(alert));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(ALERT, VERSION, 256);
        out.key(&self.key);
        out.alert(self);
        out.finish()
    }

    /// Reads what [`Alert::encode`] wrote.
    ///
    /// # Errors
    /// A [`DecodeError`] for everything else.
    ///
    /// ```
    /// use sentinel_core::alert::Alert;
    ///
    /// assert!(Alert::decode(b"SNTE").is_err());
    /// ```
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::open(bytes, ALERT, VERSION)?;
        let key = input.key()?;
        let alert = input.alert(&key)?;
        input.end()?;
        Ok(alert)
    }
}

fn is_over(alert: &Alert) -> bool {
    alert.resolved_ms.is_some() || alert.why.is_some()
}

impl Writer {
    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn moment(&mut self, ms: Option<i64>) {
        self.option(ms, Self::signed);
    }

    /// Every bit of it: what is resumed compares as what was not stopped.
    fn float(&mut self, value: Option<f64>) {
        self.option(value, |out, value| out.0.extend_from_slice(&value.to_le_bytes()));
    }

    fn key(&mut self, key: &Key) {
        self.number(tag(key.rule));
        match &key.subject {
            Subject::Everyone => self.number(0),
            Subject::Endpoint(endpoint) => {
                self.number(1);
                self.bytes(endpoint.as_bytes());
            }
            Subject::Tenant(id) => {
                self.number(2);
                self.bytes(id);
            }
            Subject::Target(name) => {
                self.number(3);
                self.bytes(name.as_bytes());
            }
            Subject::OwnNetwork => self.number(4),
        }
    }

    fn alert(&mut self, alert: &Alert) {
        self.0.extend_from_slice(&alert.id.0);
        self.signed(alert.fired_ms);
        self.moment(alert.resolved_ms);
        let why = match alert.why {
            None => 0,
            Some(Why::Recovered) => 1,
            Some(Why::RuleOff) => 2,
        };
        self.numbers([alert.lasted_ms, why, u64::from(alert.told)]);
        let evidence = &alert.evidence;
        let kind = KINDS.iter().position(|kind| *kind == evidence.kind).unwrap_or(0);
        self.signed(evidence.at_ms);
        self.numbers([evidence.window_ms, kind as u64, evidence.errors, evidence.of, evidence.requests]);
        self.number(u64::from(evidence.chronic));
        self.bytes(evidence.what.as_bytes());
        let Evidence { share, excess_share, rate_without, rate_normal, p95_ms, normal_p95_ms, .. } = *evidence;
        for value in [share, excess_share, rate_without, rate_normal, p95_ms, normal_p95_ms] {
            self.float(value);
        }
        self.option(evidence.endpoint.as_deref(), |out, text| out.bytes(text.as_bytes()));
        self.option(evidence.note.as_deref(), |out, text| out.bytes(text.as_bytes()));
        self.number(evidence.with.len() as u64);
        evidence.with.iter().for_each(|id| self.bytes(id));
        self.option(evidence.target.as_ref(), Self::target);
    }

    fn target(&mut self, target: &TargetEvidence) {
        let TargetEvidence { url, since_ms, cause, http_status, flapping, expires_ms } = target;
        self.bytes(url.as_bytes());
        self.signed(*since_ms);
        self.numbers([u64::from(Cause::tag(*cause)), u64::from(http_status.unwrap_or(0)), u64::from(*flapping)]);
        self.moment(*expires_ms);
    }
}

/// Numbers of rules in bytes; 16 and more are for targets.
const fn tag(rule: Rule) -> u64 {
    match rule {
        Rule::VerdictErrors => 1,
        Rule::VerdictLatency => 2,
        Rule::TenantErrors => 3,
        Rule::TenantShare => 4,
        Rule::TenantLatency => 5,
        Rule::OwnNetwork => 6,
        Rule::TargetDown => 7,
        Rule::CertificateExpiring => 8,
    }
}

impl Reader<'_> {
    fn flag(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        Ok(self.at_most(field, 1, "0 or 1")? == 1)
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, DecodeError>) -> Result<Option<T>, DecodeError> {
        if self.flag("option")? { read(self).map(Some) } else { Ok(None) }
    }

    fn moment(&mut self) -> Result<Option<i64>, DecodeError> {
        self.option(Self::signed)
    }

    fn float(&mut self) -> Result<Option<f64>, DecodeError> {
        self.option(|input| {
            let value = f64::from_le_bytes(input.array()?);
            if value.is_finite() { Ok(value) } else { Err(invalid("number", value.to_bits(), "finite")) }
        })
    }

    fn few(&mut self, field: &'static str, most: usize) -> Result<usize, DecodeError> {
        let len = self.items(field, LEAST)?;
        if len <= most { Ok(len) } else { Err(invalid(field, len as u64, "as many as are followed")) }
    }

    fn utf8(&mut self, field: &'static str, most: usize) -> Result<String, DecodeError> {
        let bytes = self.text(field, most)?;
        let text = std::str::from_utf8(bytes).map_err(|error| invalid(field, error.valid_up_to() as u64, "UTF-8"))?;
        Ok(text.into())
    }

    fn key(&mut self) -> Result<Key, DecodeError> {
        let found = self.number()?;
        let rule = Rule::ALL.into_iter().find(|rule| tag(*rule) == found);
        let rule = rule.ok_or_else(|| invalid("rule", found, "a rule of this version"))?;
        let subject = match self.number()? {
            0 if rule.is_verdict() => Subject::Everyone,
            1 if rule.is_verdict() => Subject::Endpoint(self.utf8("endpoint", MAX_ENDPOINT)?),
            2 if !rule.is_of_targets() => Subject::Tenant(self.text("tenant", MAX_ID)?.to_vec()),
            3 if rule.is_of_targets() && rule != Rule::OwnNetwork => Subject::Target(self.utf8("target", MAX_CHECK)?),
            4 if rule == Rule::OwnNetwork => Subject::OwnNetwork,
            other => return Err(invalid("subject", other, "0 to 4, as its rule has them")),
        };
        Ok(Key { rule, subject })
    }

    fn alert(&mut self, key: &Key) -> Result<Alert, DecodeError> {
        let (id, fired_ms, resolved_ms) = (AlertId(self.array()?), self.signed()?, self.moment()?);
        let lasted_ms = self.number()?;
        let why = match self.number()? {
            0 => None,
            1 => Some(Why::Recovered),
            2 => Some(Why::RuleOff),
            other => return Err(invalid("why", other, "0 to 2")),
        };
        let (told, key, severity) = (self.flag("told")?, key.clone(), key.rule.severity());
        let evidence = self.evidence()?;
        Ok(Alert { id, key, severity, fired_ms, resolved_ms, lasted_ms, why, told, evidence })
    }

    fn evidence(&mut self) -> Result<Evidence, DecodeError> {
        Ok(Evidence {
            at_ms: self.signed()?,
            window_ms: self.number()?,
            kind: KINDS[self.at_most("kind", KINDS.len() as u64 - 1, "0 to 6")? as usize],
            errors: self.number()?,
            of: self.number()?,
            requests: self.number()?,
            chronic: self.flag("chronic")?,
            what: self.utf8("what", MAX_NAME)?,
            share: self.float()?,
            excess_share: self.float()?,
            rate_without: self.float()?,
            rate_normal: self.float()?,
            p95_ms: self.float()?,
            normal_p95_ms: self.float()?,
            endpoint: self.option(|input| input.utf8("endpoint", MAX_ENDPOINT))?,
            note: self.option(|input| input.utf8("note", MAX_NOTE))?,
            with: {
                let len = self.at_most("with", MAX_WITH as u64, "0 to 8")?;
                (0..len).map(|_| Ok(self.text("with", MAX_ID)?.to_vec())).collect::<Result<_, DecodeError>>()?
            },
            target: self.option(Self::target)?,
        })
    }

    fn target(&mut self) -> Result<TargetEvidence, DecodeError> {
        Ok(TargetEvidence {
            url: self.utf8("url", MAX_ENDPOINT)?,
            since_ms: self.signed()?,
            cause: Cause::of_tag(self.number()?)?,
            http_status: Some(self.at_most("http_status", 999, "0 to 999")? as u16).filter(|status| *status > 0),
            flapping: self.flag("flapping")?,
            expires_ms: self.moment()?,
        })
    }
}
