//! The documents for users, README.md and docs/: the exporter reads each configuration, the tables are complete, each link leads
//! somewhere.
//!
//! The Rust programs in them are doc tests of `sentinel_tower`; the tests of the Python and Node packages run the others.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use sentinel_core::{Event, Query, Sentinel};
use sentinel_exporter::{Config, ReadError};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// README.md and the pages in docs/, by their path and with their text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push(root().join("README.md"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let fence = format!("```{language}\n");
    let rest: Vec<&str> = text.split(fence.as_str()).skip(1).collect();
    rest.into_iter().map(|rest| rest.split("```").next().unwrap())
}

/// As users paste it, with files in place of the secrets, which a test does not have.
#[test]
fn every_configuration_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = [
        (r#"{ env = "SLACK_URL" }"#, "https://hooks.slack.com/services/x"),
        (r#"{ env = "WEBHOOK_SECRET" }"#, "whsec_c2VudGluZWwtZXhhbXBsZS1zaWduaW5nLWtleQ=="),
        (r#"{ env = "SMTP_PASSWORD" }"#, "password"),
        (r#"{ env = "SHOP_TOKEN" }"#, "Bearer token"),
        (r#"{ file = "/run/secrets/shop" }"#, "Bearer token"),
    ];
    let mut read = Vec::new();
    for (path, text) in documents() {
        for block in blocks(&text, "toml").filter(|block| !block.starts_with("[dependencies]")) {
            let block = secrets.iter().enumerate().fold(block.to_string(), |block, (number, (written, secret))| {
                let file = dir.path().join(number.to_string());
                fs::write(&file, secret).unwrap();
                block.replace(written, &format!("{{ file = {file:?} }}"))
            });
            let config = Config::from_toml(&block).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(config.clone().validated().is_ok(), "{}", path.display());
            let sinks = config.alerts.map_or(0, |alerts| alerts.sinks.len());
            let checks = config.uptime.map_or(0, |uptime| uptime.checks.len());
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            read.push((name, sinks, checks));
        }
    }
    let known = [("alerts.md", 4, 0), ("configuration.md", 1, 1), ("uptime.md", 0, 2)];
    assert_eq!(read, known.map(|(name, sinks, checks)| (name.to_string(), sinks, checks)));
}

/// Dependencies by path name a crate of this tree.
#[test]
fn every_dependency_is_there() {
    let mut found = 0;
    for (_, text) in documents() {
        for block in blocks(&text, "toml").filter(|block| block.starts_with("[dependencies]")) {
            let manifest: toml::Table = block.parse().unwrap();
            for dependency in manifest["dependencies"].as_table().unwrap().values() {
                let Some(path) = dependency.get("path") else { continue };
                let path = path.as_str().unwrap().strip_prefix("sentinel/").unwrap();
                let manifest: toml::Table =
                    fs::read_to_string(root().join(path).join("Cargo.toml")).unwrap().parse().unwrap();
                assert_eq!(manifest["package"]["name"], dependency["package"]);
                found += 1;
            }
        }
    }
    assert_eq!(found, 2);
}

/// A page with Rust in it is among the doc tests of `sentinel_tower`.
#[test]
fn every_page_with_rust_is_a_doc_test() {
    let lib = fs::read_to_string(root().join("sentinel-tower/src/lib.rs")).unwrap();
    for (path, text) in documents() {
        let included =
            lib.contains(&format!("include_str!(\"../../{}\")", path.strip_prefix(root()).unwrap().display()));
        assert_eq!(included, text.contains("```rust"), "{}", path.display());
    }
}

/// Text between backticks.
fn code(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(Into::into).collect()
}

/// The first cells of tables, as far as they are code.
fn first_cells(text: &str) -> BTreeSet<String> {
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells.flat_map(code).collect()
}

/// Names of variables that stand as text in the code, tests excepted.
fn variables(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            variables(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for word in text.split('"').filter(|word| word.starts_with("SENTINEL_") && !word.contains("_TEST_")) {
                if word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
                    found.insert(word.into());
                }
            }
        }
    }
}

#[test]
fn every_variable_is_in_the_table() {
    let mut known = BTreeSet::new();
    for part in ["sentinel-core", "sentinel-exporter", "sentinel-tower", "bindings-python", "bindings-node"] {
        variables(&root().join(part).join("src"), &mut known);
    }
    let mut told = first_cells(&page("configuration.md"));
    told.retain(|cell| cell.starts_with("SENTINEL_"));
    assert_eq!(told, known);
    assert!(known.len() > 20);
}

/// The keys that a table may have: an unknown one is answered with them.
#[test]
fn every_key_is_in_the_tables() {
    let text = page("configuration.md");
    let (told, check) = (code(&text), "[[uptime.checks]]\nname = 'x'\ntarget = 'tcp://x:1'\n");
    for (toml, table) in [
        ("[exporter]\nno = 1".into(), ""),
        ("[alerts]\nno = 1".into(), ""),
        ("[alerts.verdict]\nno = 1".into(), "verdict."),
        ("[alerts.targets]\nno = 1".into(), "targets."),
        ("[alerts.tenant_errors]\nno = 1".into(), "tenant_errors."),
        ("[alerts.tenant_share]\nno = 1".into(), "tenant_share."),
        ("[alerts.tenant_latency]\nno = 1".into(), "tenant_latency."),
        ("[alerts.grouping]\nno = 1".into(), "grouping."),
        ("[[alerts.sinks]]\nno = 1".into(), ""),
        ("[uptime]\nno = 1".into(), ""),
        (format!("{check}no = 1"), ""),
        (format!("{check}expect = {{ no = 1 }}"), "expect."),
        (format!("{check}confirm = {{ no = 1 }}"), "confirm."),
        (format!("{check}maintenance = [{{ no = {{}} }}]"), ""),
        (format!("{check}maintenance = [{{ weekly = {{ no = 1 }} }}]"), ""),
    ] {
        let Err(ReadError::Value(error)) = Config::from_toml(&toml) else { panic!("{toml}") };
        let allowed = code(&error.allowed);
        assert!(!allowed.is_empty(), "{toml}: {error}");
        for key in allowed {
            // Tables that are told of key by key, and times that all rules about a tenant share.
            let full = format!("{table}{key}");
            let parts = told.iter().any(|told| told.starts_with(&format!("{full}.")));
            let shared = table.starts_with("tenant_") && ["for", "keep_firing_for"].contains(&key.as_str());
            assert!(told.contains(&full) || parts || shared, "{toml}: {full}");
        }
    }
}

/// Each name in the JSON of an answer.
fn names(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                names(value, found);
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_a_report_is_told_of() {
    let sentinel = Sentinel::builder().build().unwrap();
    sentinel.record(Event { tenant: b"acme", endpoint: "/v1", status: 500, ..Event::default() });
    let report = sentinel.report(Query { series: true, ..Query::default() });
    let mut known = BTreeSet::new();
    names(&serde_json::to_value(report).unwrap(), &mut known);
    names(&serde_json::to_value(sentinel.tenant(b"acme", None)).unwrap(), &mut known);
    let told = code(&page("report.md"));
    assert_eq!(known.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// A heading as GitHub makes it an anchor.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = plain.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let others = ["CONTRIBUTING.md", "bindings-node/README.md", "bindings-python/README.md"].map(|name| {
        let path = root().join(name);
        (path.clone(), fs::read_to_string(path).unwrap())
    });
    for (path, text) in documents().into_iter().chain(others) {
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(headings.any(|line| anchor(line) == heading), "{}: {link}", path.display());
            }
        }
    }
}
