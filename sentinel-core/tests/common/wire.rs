//! The wire form of a block, written a second time and by hand: so that hostile blocks with a right checksum can be made, and
//! so that a change of the format shows.

use crate::common::START;

/// The largest count that a block may hold.
pub(crate) const MAX: u64 = 1 << 53;
/// Name, counts, halves (half, requests). The tenants that failed there are 1, 2 and 3.
type Endpoint = (&'static str, [u64; 3], Vec<(u8, u64)>);
/// Id, counts, bounds, latencies (bucket, requests), endpoints (place, requests, errors).
type Tenant = (&'static str, [u64; 3], [u64; 3], Vec<[u64; 2]>, Vec<[u64; 3]>);

/// The body with the checksum that it needs.
pub(crate) fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &crc32fast::hash(body).to_le_bytes()].concat()
}

/// The format, written a second time.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    pub(crate) source: u64,
    pub(crate) aborted: u64,
    pub(crate) latency_sum_us: u64,
    pub(crate) tail: [u64; 3],
    pub(crate) offset: [u64; 3],
    pub(crate) latency: Vec<[u64; 2]>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) rows: Vec<Tenant>,
}

impl Wire {
    pub(crate) const EMPTY: Self = Self {
        source: 9,
        aborted: 0,
        latency_sum_us: 0,
        tail: [0; 3],
        offset: [0; 3],
        latency: vec![],
        endpoints: vec![],
        rows: vec![],
    };

    /// As large as a block may be.
    pub(crate) fn hostile(source: u64) -> Self {
        let most = u64::from(u32::MAX);
        Self {
            source,
            aborted: MAX,
            latency_sum_us: u64::MAX,
            tail: [0; 3],
            offset: [MAX; 3],
            latency: vec![[15, most], [463, most]],
            endpoints: vec![("/a", [MAX; 3], vec![(0, most), (63, most)]), ("/b", [MAX; 3], vec![(63, most)])],
            rows: vec![(
                "acme",
                [MAX; 3],
                [MAX; 3],
                vec![[3, most], [463, most]],
                vec![[0, most, most], [1, most, most]],
            )],
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        fn put(out: &mut Vec<u8>, numbers: &[u64]) {
            for &number in numbers {
                let mut left = number;
                while left > 127 {
                    out.push(left as u8 | 128);
                    left >>= 7;
                }
                out.push(left as u8);
            }
        }
        fn cells(out: &mut Vec<u8>, cells: &[[u64; 2]]) {
            put(out, &[cells.len() as u64]);
            let mut last = 0;
            for [bucket, count] in cells {
                put(out, &[bucket - last, *count]);
                last = *bucket;
            }
        }
        let mut out = b"SNTB\x01".to_vec();
        out.extend(self.source.to_le_bytes());
        put(&mut out, &[2 * START as u64, 10_000, 464, self.aborted, self.latency_sum_us, u64::from(u32::MAX)]);
        put(&mut out, &self.tail);
        put(&mut out, &self.offset);
        cells(&mut out, &self.latency);
        put(&mut out, &[self.endpoints.len() as u64]);
        for (name, counts, halves) in &self.endpoints {
            put(&mut out, &[name.len() as u64]);
            out.extend(name.as_bytes());
            put(&mut out, counts);
            put(&mut out, &[halves.len() as u64]);
            halves.iter().for_each(|(half, count)| {
                out.push(*half);
                put(&mut out, &[*count]);
            });
            for _ in 0..2 {
                put(&mut out, &[3]);
                (1..=3_u64).for_each(|print| out.extend(print.to_le_bytes()));
            }
        }
        put(&mut out, &[self.rows.len() as u64]);
        for (id, counts, bounds, latency, endpoints) in &self.rows {
            put(&mut out, &[id.len() as u64]);
            out.extend(id.as_bytes());
            put(&mut out, counts);
            put(&mut out, bounds);
            put(&mut out, &[u64::MAX, u64::from(u32::MAX)]);
            cells(&mut out, latency);
            put(&mut out, &[4 * endpoints.len() as u64 + 1]);
            endpoints.iter().for_each(|cell| put(&mut out, cell));
        }
        sealed(&out)
    }
}
