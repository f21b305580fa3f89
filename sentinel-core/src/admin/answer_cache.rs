//! Answers that have just been given: so that fifty people who watch the same report do not cost fifty reports a second.
//!
//! Who asks now and then always gets a fresh one. A query that is asked for more than [`FRESH`] times in a second gets, beyond
//! that, one that is at most [`STALE`] old.

use crate::report::Query;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Fresh answers to the same query in a second.
const FRESH: u32 = 4;
const STALE: Duration = Duration::from_millis(250);
const SECOND: Duration = Duration::from_secs(1);
/// Queries that are remembered.
const MOST: usize = 16;
/// Bytes of all answers that are remembered, at most: outside the budget. One of ten tenants has 7 kB.
const MOST_BYTES: usize = 512 << 10;

#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Vec<Answer>>);

#[derive(Debug)]
struct Answer {
    query: Query,
    body: Vec<u8>,
    made: Instant,
    /// The second that is counted, and fresh answers in it.
    since: Instant,
    fresh: u32,
}

impl Shelf {
    /// The answer to a query: one that was given, or what `make` makes.
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
        // It may have waited for others.
        let now = clock();
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, fresh) = match answers.iter().position(|answer| answer.query == query) {
            Some(at) => {
                let before = answers.swap_remove(at);
                if now.duration_since(before.since) < SECOND { (before.since, before.fresh + 1) } else { (now, 1) }
            }
            None => (now, 1),
        };
        // Nobody watches these any more.
        answers.retain(|answer| now.duration_since(answer.made) < SECOND);
        let bytes: usize = answers.iter().map(|answer| answer.body.len()).sum();
        if bytes + body.len() > MOST_BYTES {
            return Ok(body);
        }
        if answers.len() >= MOST {
            let oldest = answers.iter().enumerate().min_by_key(|(_, answer)| answer.made).map(|(at, _)| at);
            oldest.map(|at| answers.swap_remove(at));
        }
        answers.push(Answer { query, body: body.clone(), made: now, since, fresh });
        Ok(body)
    }

    fn recent(&self, query: Query, now: Instant) -> Option<Vec<u8>> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.iter().find(|answer| answer.query == query)?;
        let busy = now.duration_since(answer.since) < SECOND && answer.fresh >= FRESH;
        (busy && now.duration_since(answer.made) < STALE).then(|| answer.body.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks at these milliseconds; says which answers were made.
    fn made(at_ms: &[u64]) -> Vec<bool> {
        let (shelf, start) = (Shelf::default(), Instant::now());
        let ask = |&ms: &u64| {
            let mut fresh = false;
            let make = || {
                fresh = true;
                Ok::<_, ()>(ms.to_string().into_bytes())
            };
            let body = shelf.get_at(Query::default(), || start + Duration::from_millis(ms), make);
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
        let shelf = Shelf::default();
        for limit in 1..=100 {
            for _ in 0..2 {
                let query = Query { limit, ..Query::default() };
                let body = shelf.get(query, || Ok::<_, ()>(limit.to_string().into_bytes()));
                assert_eq!(body, Ok(limit.to_string().into_bytes()));
            }
        }
        assert_eq!(shelf.0.lock().unwrap().len(), MOST);
    }
}
