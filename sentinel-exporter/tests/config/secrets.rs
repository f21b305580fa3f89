//! No error shows a secret: a configuration with a canary at each secret, changed at random.

use proptest::prelude::*;
use sentinel_core::Sentinel;
use sentinel_exporter::{Config, Setup};
use toml::{Table, Value};

/// Text of each secret, and a number in place of one.
const CANARY: &str = "canary-7f3a";
const NUMBER: i64 = 112_233_445_566;

const EVERYTHING: &str = r#"
[exporter]
service = "shop"
every = "2s"

[alerts]
verdict = { for = "1m", kinds = ["everyone"] }
tenant_errors = { at_least = 10, for = "30s" }
tenant_share = { above = 0.5 }
grouping = { first = "15s", repeat = 14400 }

[[alerts.sinks]]
type = "slack"
url = "https://hooks.slack.com/canary-7f3a"

[[alerts.sinks]]
type = "webhook"
name = "hook"
url = "https://shop.example/canary-7f3a"
secret = "whsec_canary-7f3a"

[[alerts.sinks]]
type = "email"
host = "mail.example"
port = 25
encryption = "tls"
from = "a@shop.example"
to = ["b@shop.example", "c@shop.example"]
username = "u"
password = "canary-7f3a"

[[alerts.sinks]]
type = "log"
to = "/var/log/alerts.jsonl"
max_size = "1MiB"
keep = 3

[uptime]
at_once = 9
allow = ["private"]

[[uptime.checks]]
name = "shop"
target = "https://shop.example/canary-7f3a?key=canary-7f3a"
interval = "30s"
headers = { authorization = "canary-7f3a", x-key = "canary-7f3a" }
expect = { status = ["2xx", 304], contains = "body canary-7f3a", json = { "/ready" = true, "/key" = "body canary-7f3a" } }
confirm = { failures = 2, every = "5s" }
maintenance = [{ weekly = { days = ["sun"], at = "03:00", for = "1h" } }]
tags = ["eu"]
"#;

#[derive(Debug, Clone)]
enum Change {
    Replace(usize),
    InList,
    InTable,
    Rename,
    Remove,
    /// Text of a secret, wherever it is.
    Canary,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => any::<usize>().prop_map(Change::Replace),
        1 => Just(Change::InList),
        1 => Just(Change::InTable),
        1 => Just(Change::Rename),
        1 => Just(Change::Remove),
    ]
}

fn is_secret(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains(CANARY))
}

fn in_table(value: Value) -> Value {
    Value::Table([("x".to_owned(), value)].into_iter().collect())
}

/// The secret in another form.
fn another_secret(found: &Value, choice: usize) -> Value {
    let text = || Value::from(CANARY);
    let all = [
        text(),
        Value::from(format!("https://user:{CANARY}@shop.example/")),
        Value::from(format!("{CANARY}\n")),
        Value::from(NUMBER),
        Value::from(NUMBER as f64 / 10.0),
        Value::from(format!("whsec_{}", CANARY.repeat(20))),
        Value::from(vec![text()]),
        in_table(text()),
        in_table(Value::from(vec![text()])),
        Value::Table("env = 'NOT_SET'".parse().unwrap()),
    ];
    // A number is none where any text is expected of a body.
    let all = if found.as_str().is_some_and(|text| text.starts_with("body ")) { &all[5..] } else { &all };
    all[choice % all.len()].clone()
}

fn another_value(choice: usize) -> Value {
    let all = [
        Value::from(0),
        Value::from(-1),
        Value::from(i64::MAX),
        Value::from(0.5),
        Value::from(f64::NAN),
        Value::from(true),
        Value::from(""),
        Value::from("other"),
        Value::from(Vec::<Value>::new()),
        Value::from(Table::new()),
        Value::from("1979-05-27".parse::<toml::value::Datetime>().unwrap()),
    ];
    all[choice % all.len()].clone()
}

/// The values below this one, at whichever depth, as the indices that lead there, and whether they are secrets.
fn places(value: &Value, here: &[usize], found: &mut Vec<(Vec<usize>, bool)>) {
    let children: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Table(table) => table.iter().map(|(_, value)| value).collect(),
        _ => return,
    };
    for (at, child) in children.into_iter().enumerate() {
        let place = [here, &[at]].concat();
        found.push((place.clone(), is_secret(child)));
        places(child, &place, found);
    }
}

fn child(value: &mut Value, at: usize) -> &mut Value {
    match value {
        Value::Array(items) => &mut items[at],
        Value::Table(table) => table.iter_mut().nth(at).unwrap().1,
        _ => unreachable!("a value without others in it"),
    }
}

/// Changes one of the values in a table or list, at whichever depth; among secrets only, if there are any and `of_secret`.
fn apply(value: &mut Value, place: usize, of_secret: bool, change: &Change) {
    let mut all = Vec::new();
    places(value, &[], &mut all);
    if of_secret && all.iter().any(|(_, is_secret)| *is_secret) {
        all.retain(|(_, is_secret)| *is_secret);
    }
    let chosen = all.get(place % all.len().max(1));
    let Some((at, above)) = chosen.and_then(|(place, _)| place.split_last()) else { return };
    let parent = above.iter().fold(value, |value: &mut Value, at| child(value, *at));
    let found = child(parent, *at).clone();
    *child(parent, *at) = match change {
        Change::Replace(choice) if is_secret(&found) => another_secret(&found, *choice),
        Change::Replace(choice) => another_value(*choice),
        Change::InList => Value::from(vec![found]),
        Change::InTable => in_table(found),
        Change::Canary => CANARY.into(),
        Change::Rename | Change::Remove => {
            match parent {
                Value::Array(items) => drop(items.remove(*at)),
                Value::Table(table) => {
                    let key = table.keys().nth(*at).unwrap().clone();
                    let value = table.remove(&key).unwrap();
                    if matches!(change, Change::Rename) {
                        table.insert("urll".into(), value);
                    }
                }
                _ => {}
            }
            return;
        }
    };
}

fn everything() -> Value {
    Value::Table(EVERYTHING.parse().unwrap())
}

fn shows(text: &str) -> bool {
    text.contains(CANARY) || text.contains("1122334")
}

/// The base is read, but for the key of the webhook, which is none; so each change has something to break.
#[test]
fn everything_is_read_but_a_key_that_is_none() {
    let error = Config::from_toml(EVERYTHING).unwrap_err();
    assert!(error.to_string().starts_with("alerts.sinks[1].secret: a value that is not shown"), "{error}");
    let good = EVERYTHING.replace("whsec_canary-7f3a", "whsec_c2VudGluZWwtZXhhbXBsZS1zaWduaW5nLWtleQ==");
    assert!(Config::from_toml(&good).is_ok());
}

/// Text of each kind, wherever a program may have put it: also where the option is no secret.
fn all_texts_are_canaries(value: &mut Value) {
    match value {
        Value::String(text) => *text = CANARY.into(),
        Value::Array(items) => items.iter_mut().for_each(all_texts_are_canaries),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| all_texts_are_canaries(value)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_file_shows_no_secret(key_is_good: bool, changes in prop::collection::vec((any::<usize>(), any::<bool>(), change()), 1..5)) {
        let mut value = everything();
        if key_is_good {
            value["alerts"]["sinks"][1]["secret"] = "whsec_c2VudGluZWwtZXhhbXBsZS1zaWduaW5nLWtleQ==".into();
        }
        for (place, of_secret, change) in &changes {
            apply(&mut value, *place, *of_secret, change);
        }
        let text = toml::to_string(&value).unwrap();
        if let Err(error) = Config::from_toml(&text) {
            prop_assert!(!shows(&error.to_string()) && !shows(&format!("{error:?}")), "{error}\n{text}");
        }
    }

    #[test]
    fn a_program_is_shown_no_text(
        texts: bool,
        place: usize,
        changes in prop::collection::vec((any::<usize>(), any::<bool>(), change()), 0..5),
    ) {
        let mut value = everything();
        if texts {
            all_texts_are_canaries(&mut value["alerts"]);
            all_texts_are_canaries(&mut value["uptime"]);
        } else {
            apply(&mut value, place, false, &Change::Canary);
        }
        for (place, of_secret, change) in &changes {
            apply(&mut value, *place, *of_secret, change);
        }
        let json = |table: &str| value.get(table).map(|table| serde_json::to_string(table).unwrap());
        let setup = Setup { service: Some("shop".into()), alerts: json("alerts"), uptime: json("uptime"), ..Setup::default() };
        let sentinel = Sentinel::builder().build().unwrap();
        if let Err(error) = setup.exporter(&sentinel) {
            prop_assert!(!error.to_string().contains(CANARY), "{error}\n{value}");
        }
    }
}
