//! A certificate for this machine, and the authority that vouches for it: made anew each time, believed by nobody who
//! was not told to. Knows nothing of what is served.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::Failure;

/// What a server on this machine is called.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// What encrypts connections, and the authority's certificate (PEM) that clients have to be given.
///
/// # Errors
/// If certificates cannot be made.
pub fn for_this_machine() -> Result<(TlsAcceptor, String), Failure> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate()?;
    let pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(NAMES.map(str::to_owned))?.signed_by(&key, &issuer)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())?;
    Ok((TlsAcceptor::from(Arc::new(config)), pem))
}
