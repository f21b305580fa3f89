//! A cache of reports that were just made, so that fifty people who watch the same report do not cost fifty reports a second.
//!
//! A caller that asks now and then always gets a fresh answer. When a query comes more than [`FRESH_ANSWERS`] times in a second,
//! further callers of that second get an answer that is at most [`MAX_ANSWER_AGE`] old.

use crate::report::Query;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Fresh answers to the same query in a second: up to eight open pages, each of which asks every other second, get fresh ones only.
const FRESH_ANSWERS: u32 = 4;
/// Age of a cached answer, at most: a second divided by [`FRESH_ANSWERS`].
const MAX_ANSWER_AGE: Duration = Duration::from_millis(250);
const SECOND: Duration = Duration::from_secs(1);
/// Queries whose answers are cached, at most. People who watch at once ask few distinct ones within a second.
const MAX_CACHED_QUERIES: usize = 16;
/// Bytes of all cached answers, at most; they are outside the budget. An answer with ten tenants has 7 kB.
const MAX_CACHED_BYTES: usize = 512 << 10;

#[derive(Debug, Default)]
pub(super) struct AnswerCache(Mutex<Vec<CachedAnswer>>);

#[derive(Debug)]
struct CachedAnswer {
    query: Query,
    body: Vec<u8>,
    made: Instant,
    /// Start of the second in which fresh answers are counted.
    since: Instant,
    /// Fresh answers in that second.
    fresh: u32,
}

impl AnswerCache {
    /// The answer to a query: a cached one, or the result of `make`.
    pub(super) fn get<E>(&self, query: Query, make: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        self.get_at(query, Instant::now, make)
    }

    fn get_at<E>(
        &self,
        query: Query,
        clock: impl Fn() -> Instant,
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let now = clock();
        if let Some(body) = self.recent(query, now) {
            return Ok(body);
        }
        let body = make()?;
        // Making the answer may have waited for other queries.
        let now = clock();
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, fresh) = match answers.iter().position(|answer| answer.query == query) {
            Some(at) => {
                let before = answers.swap_remove(at);
                if now.duration_since(before.since) < SECOND { (before.since, before.fresh + 1) } else { (now, 1) }
            }
            None => (now, 1),
        };
        // Answers that nobody has asked for during a second.
        answers.retain(|answer| now.duration_since(answer.made) < SECOND);
        let bytes: usize = answers.iter().map(|answer| answer.body.len()).sum();
        if bytes + body.len() > MAX_CACHED_BYTES {
            return Ok(body);
        }
        if answers.len() >= MAX_CACHED_QUERIES {
            let oldest = answers.iter().enumerate().min_by_key(|(_, answer)| answer.made).map(|(at, _)| at);
            oldest.map(|at| answers.swap_remove(at));
        }
        answers.push(CachedAnswer { query, body: body.clone(), made: now, since, fresh });
        Ok(body)
    }

    /// The cached answer, when the query comes so often that it may be used.
    fn recent(&self, query: Query, now: Instant) -> Option<Vec<u8>> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.iter().find(|answer| answer.query == query)?;
        let busy = now.duration_since(answer.since) < SECOND && answer.fresh >= FRESH_ANSWERS;
        (busy && now.duration_since(answer.made) < MAX_ANSWER_AGE).then(|| answer.body.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks at these milliseconds. Returns, for each, whether the answer was fresh.
    fn made(at_ms: &[u64]) -> Vec<bool> {
        let (cache, start) = (AnswerCache::default(), Instant::now());
        let ask = |&ms: &u64| {
            let mut fresh = false;
            let make = || {
                fresh = true;
                Ok::<_, ()>(ms.to_string().into_bytes())
            };
            let body = cache.get_at(Query::default(), || start + Duration::from_millis(ms), make);
            assert!(ms - String::from_utf8(body.unwrap()).unwrap().parse::<u64>().unwrap() < 250);
            fresh
        };
        at_ms.iter().map(ask).collect()
    }

    #[test]
    fn who_asks_now_and_then_gets_what_is_now() {
        assert!(made(&[0, 1, 2, 3]).iter().all(|fresh| *fresh));
        assert!(made(&[0, 250, 500, 750, 1_000, 1_250, 1_500]).iter().all(|fresh| *fresh));
    }

    #[test]
    fn many_share_one() {
        let asks: Vec<u64> = (0..5_000).step_by(20).collect(); // fifty a second
        let fresh = made(&asks).iter().filter(|fresh| **fresh).count();
        assert!((20..=40).contains(&fresh), "{fresh}");
    }

    #[test]
    fn another_query_is_another_answer() {
        let cache = AnswerCache::default();
        for limit in 1..=100 {
            for _ in 0..2 {
                let query = Query { limit, ..Query::default() };
                let body = cache.get(query, || Ok::<_, ()>(limit.to_string().into_bytes()));
                assert_eq!(body, Ok(limit.to_string().into_bytes()));
            }
        }
        assert_eq!(cache.0.lock().unwrap().len(), MAX_CACHED_QUERIES);
    }
}
