//! The certificate authorities that are trusted.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use sentinel_core::ConfigError;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Most bytes of a file with certificates.
const MAX_ROOTS_BYTES: u64 = 1 << 20;

/// The trusted certificate authorities: Mozilla's list, and those of a file.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, ConfigError> {
        let config = versions()?.with_root_certificates(roots(ca_file)?).with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}

/// Certificate authorities that are trusted.
pub(crate) fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        let wrong = |why| {
            let allowed = "a PEM file of at most 1 MiB with certificates of issuers";
            ConfigError::new("ca_file", format!("{} ({why})", path.display()), allowed)
        };
        for certificate in certificates(path).map_err(wrong)? {
            roots.add(certificate).map_err(|_| wrong("holds one that cannot be used"))?;
        }
    }
    Ok(roots)
}

/// TLS 1.2 and 1.3. The provider is named here: a process may have another default, or none.
pub(crate) fn versions() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, ConfigError> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| ConfigError::new("ca_file", "TLS", "TLS 1.2 and 1.3"))
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    // A pipe without a writer must not block the thread.
    if !std::fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return Err("is not a file that can be read");
    }
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|_| "cannot be read")?;
    let length = file.take(MAX_ROOTS_BYTES + 1).read_to_end(&mut pem).map_err(|_| "cannot be read")?;
    if length as u64 > MAX_ROOTS_BYTES {
        return Err("is longer than 1 MiB");
    }
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| "is not PEM")?;
    if found.is_empty() { Err("holds none") } else { Ok(found) }
}
