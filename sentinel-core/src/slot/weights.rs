//! What is counted of a request, and how an error bound rises.

/// Requests, errors, slow requests.
pub(crate) const WEIGHTS: usize = 3;

/// What the table needs of an event, after the boundary rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) tenant: &'a [u8],
    pub(crate) endpoint: u16,
    pub(crate) error: bool,
    pub(crate) aborted: bool,
    pub(crate) latency_us: Option<u32>,
}

/// Counts a request, which may be an error or slow.
#[inline]
pub(crate) fn count(counts: &mut [u32; WEIGHTS], error: bool, slow: bool) {
    counts[0] = counts[0].saturating_add(1);
    if error | slow {
        counts[1] = counts[1].saturating_add(u32::from(error));
        counts[2] = counts[2].saturating_add(u32::from(slow));
    }
}

/// The offsets that leave at most `places[m]` upper bounds above each: the (k+1)-th largest, never lower than before.
pub(crate) fn raised(upper: &[[u64; WEIGHTS]], offset: [u64; WEIGHTS], places: [usize; WEIGHTS]) -> [u64; WEIGHTS] {
    std::array::from_fn(|m| {
        let mut bounds: Vec<u64> = upper.iter().map(|bounds| bounds[m]).collect();
        if bounds.len() <= places[m] {
            return offset[m];
        }
        let (_, cut, _) = bounds.select_nth_unstable_by(places[m], |a, b| b.cmp(a));
        offset[m].max(*cut)
    })
}
