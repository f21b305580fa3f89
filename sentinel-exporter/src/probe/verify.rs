//! Verifies certificates, and notes when each expires, whether it is believed or not.

use super::expiry::expires_ms;
use crate::net::trust::{roots, versions};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sentinel_core::ConfigError;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The TLS configuration of probes, built once. Each connection copies a few pointers, to note its own certificate.
#[derive(Clone)]
pub(super) struct Verify {
    config: ClientConfig,
    strict: Arc<WebPkiServerVerifier>,
    schemes: Arc<[SignatureScheme]>,
}

impl Verify {
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, ConfigError> {
        let provider = Arc::new(ring::default_provider());
        let schemes = provider.signature_verification_algorithms.supported_schemes().into();
        let roots = Arc::new(roots(ca_file)?);
        let strict = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider)
            .build()
            .map_err(|_| ConfigError::new("ca_file", "no issuers", "certificates of issuers"))?;
        let mut config = versions()?.with_webpki_verifier(Arc::clone(&strict)).with_no_client_auth();
        // A resumed session shows no certificate, so a renewed one or one that is no longer believed would go unseen. The
        // library does not resume a session for another verifier, and each connection has its own, but does not promise it.
        config.resumption = Resumption::disabled();
        Ok(Self { config, strict, schemes })
    }

    /// The configuration of one connection; `seen` notes when its certificate expires. Without `strict`, any certificate is
    /// taken for any host, so that anybody on the way can read the request and answer it: `verify_tls = false` asks for that.
    pub(super) fn config(&self, strict: bool, seen: &SeenExpiry) -> Arc<ClientConfig> {
        let strict = strict.then(|| Arc::clone(&self.strict));
        let verifier = NotingVerifier { strict, schemes: Arc::clone(&self.schemes), seen: seen.clone() };
        let mut config = self.config.clone();
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        Arc::new(config)
    }
}

impl fmt::Debug for Verify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verify")
    }
}

/// Earliest expiry of the certificates that a probe was shown, set during the handshake.
#[derive(Debug, Clone)]
pub(super) struct SeenExpiry(Arc<AtomicI64>);

const NO_EXPIRY: i64 = i64::MAX;

impl Default for SeenExpiry {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NO_EXPIRY)))
    }
}

impl SeenExpiry {
    pub(super) fn expires_ms(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at_ms| *at_ms != NO_EXPIRY)
    }
}

/// Notes the certificate's expiry, then asks the usual verifier if the check is strict.
#[derive(Debug)]
struct NotingVerifier {
    strict: Option<Arc<WebPkiServerVerifier>>,
    schemes: Arc<[SignatureScheme]>,
    seen: SeenExpiry,
}

impl ServerCertVerifier for NotingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(expires_ms) = expires_ms(end_entity) {
            self.seen.0.fetch_min(expires_ms, Ordering::Relaxed);
        }
        match &self.strict {
            Some(strict) => strict.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    // A signature proves nothing while the owner of its key is unknown; and the oldest certificates, for which people turn
    // verification off, could not be read to check one.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.strict {
            Some(strict) => strict.verify_tls12_signature(message, certificate, signature),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.strict {
            Some(strict) => strict.verify_tls13_signature(message, certificate, signature),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.to_vec()
    }
}
