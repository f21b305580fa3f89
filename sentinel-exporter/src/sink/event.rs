//! A notice as JSON, for other programs: what a webhook posts, and a line of the log.

use super::Failed;
use sentinel_core::alert::Notice;
use sentinel_core::civil;
use serde::Serialize;

#[derive(Serialize)]
struct NoticeEvent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: NoticeData<'a>,
}

/// A notice and its message for people. Ids in both have the form that is shown, which leads back to the bytes.
#[derive(Serialize)]
struct NoticeData<'a> {
    #[serde(flatten)]
    notice: &'a Notice,
    title: String,
    text: String,
}

/// The event as JSON: the same bytes at each attempt, since receivers may compare them. Characters of markup are escaped by
/// number, so that a filter on the way does not take a tenant's id for an attack and refuse the request.
pub(crate) fn json(notice: &Notice) -> Result<Vec<u8>, Failed> {
    let message = notice.message();
    let event = NoticeEvent {
        kind: if notice.test { "sentinel.test" } else { "sentinel.alert" },
        timestamp: rfc3339(notice.at_ms),
        data: NoticeData { notice, text: message.text(), title: message.title },
    };
    let unwritten = |_| Failed::Later { why: "the notice cannot be written".into(), after: None };
    let json = serde_json::to_string(&event).map_err(unwritten)?;
    // These characters occur inside of strings only.
    Ok(json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").into_bytes())
}

/// Unix ms as `2023-11-14T22:13:20.000Z`, from the year 0 to 9999.
fn rfc3339(ms: i64) -> String {
    let ms = ms.clamp(-62_167_219_200_000, 253_402_300_799_999);
    format!("{}T{}.{:03}Z", civil::date(ms), civil::clock(ms), ms.rem_euclid(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_moment_is_a_date_and_a_time() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
        }
        // Against another implementation, a day a step.
        for day in 0..60_000 {
            let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400 + 3_661);
            let ours = rfc3339(day as i64 * 86_400_000 + 3_661_000);
            let date = httpdate::fmt_http_date(moment);
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = months.iter().position(|month| *month == &date[8..11]).unwrap() + 1;
            assert_eq!(ours, format!("{}-{month:02}-{}T{}.000Z", &date[12..16], &date[5..7], &date[17..25]));
        }
    }
}
