//! Clients of storage services: which one a URL means, and where its settings come from. Knows nothing of what is kept
//! there.
//!
//! Settings are the usual environment variables (`AWS_…`, `GOOGLE_…`, `AZURE_…`), of AWS the usual files too, and
//! what the machine itself says (instance metadata, roles of containers). Nothing of them is ever shown.

mod profile;

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, Certificate, ClientConfigKey, ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig,
};
use url::Url;

use crate::StoreError;

/// A single request is repeated for so long; [`crate::retry`] repeats what still failed and says so meanwhile.
const RETRIES: RetryConfig = RetryConfig {
    max_retries: 6,
    retry_timeout: Duration::from_secs(30),
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    },
};
const USER_AGENT: &str = concat!("cloze/", env!("CARGO_PKG_VERSION"));

/// A URL, if it is one that may be shown.
///
/// # Errors
/// [`StoreError::Invalid`] if it is none, or has something secret in it; it is not repeated then.
pub(crate) fn url(place: &str) -> Result<Url, StoreError> {
    let url = Url::parse(place).map_err(|error| {
        let scheme =
            place.split_once("://").map_or_else(String::new, |(scheme, _)| format!("{scheme}://…: "));
        StoreError::Invalid(format!("{scheme}not a URL: {error}"))
    })?;
    refuse_secrets(&url)?;
    Ok(url)
}

/// The service that a URL means, and the prefix in it. Nothing is asked of it yet.
///
/// # Errors
/// [`StoreError::Invalid`] for a URL that no service serves, or settings that cannot be used.
pub(crate) fn open(url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), StoreError> {
    let invalid = |error: &dyn std::fmt::Display| {
        StoreError::Invalid(format!(
            "{url} cannot be opened: {error}; known are a path, file://, s3://, gs://, az:// and http(s)://"
        ))
    };
    let (scheme, path) = ObjectStoreScheme::parse(url).map_err(|error| invalid(&error))?;
    let path = Path::parse(path).map_err(|error| invalid(&error))?;
    let built: Result<Arc<dyn ObjectStore>, object_store::Error> = match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let builder = AmazonS3Builder::from_env().with_url(url.as_str()).with_retry(RETRIES);
            let builder = builder.with_client_options(client("AWS_", url)?);
            profile::complete(builder)?.build().map(|store| Arc::new(store) as _)
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(url.as_str()).with_retry(RETRIES);
            builder.with_client_options(client("GOOGLE_", url)?).build().map(|store| Arc::new(store) as _)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str()).with_retry(RETRIES);
            builder.with_client_options(client("AZURE_", url)?).build().map(|store| Arc::new(store) as _)
        }
        ObjectStoreScheme::Http => {
            let builder = HttpBuilder::new().with_url(&url[..url::Position::BeforePath]).with_retry(RETRIES);
            builder.with_client_options(client("HTTP_", url)?).build().map(|store| Arc::new(store) as _)
        }
        _ => return Err(invalid(&"no service has this scheme")),
    };
    built.map(|store| (store, path)).map_err(|error| invalid(&error))
}

/// A place is shown, logged and written into plans: what lets anybody in must not be part of it.
fn refuse_secrets(url: &Url) -> Result<(), StoreError> {
    // `az://container@account` names an account; a password is never a name.
    let is_azure = matches!(url.scheme(), "az" | "azure" | "adl" | "abfs" | "abfss");
    let user = !url.username().is_empty() && !is_azure;
    if user || url.password().is_some() || url.query().is_some() {
        let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
        return Err(StoreError::Invalid(format!(
            "the URL {scheme}://…{host}{} has a name, a password or a query in it; a place is shown and kept in plans: \
             give credentials in the environment (AWS_…, GOOGLE_…, AZURE_…)",
            url.path()
        )));
    }
    Ok(())
}

/// What to do about a certificate that nobody vouches for.
pub(crate) fn unbelieved(error: &object_store::Error) -> Option<String> {
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    // The libraries in between keep the type of this error to themselves.
    let cause = chain.last()?.to_string();
    (cause.contains("certificate") && cause.contains("UnknownIssuer")).then(|| {
        format!(
            "{cause}: if the service is the right one, name a file with the certificate of its authority (PEM) in \
             AWS_CA_BUNDLE; for services other than S3's, in SSL_CERT_FILE, which then stands for all authorities"
        )
    })
}

/// How to talk to a service: what the variables with this prefix say (`…_TIMEOUT`, `…_PROXY_URL`, `…_ALLOW_HTTP` and
/// the like), and whose certificates are believed.
fn client(prefix: &str, url: &Url) -> Result<ClientOptions, StoreError> {
    let mut options = ClientOptions::new().with_config(ClientConfigKey::UserAgent, USER_AGENT);
    // Whoever writes http:// has decided against encryption.
    let mut plain = url.scheme() == "http";
    // What is not UTF-8 is no option of a service, and `vars` would panic over it.
    for (name, value) in std::env::vars_os() {
        let (Some(name), Ok(value)) =
            (name.to_str().and_then(|name| name.strip_prefix(prefix)), value.into_string())
        else {
            continue;
        };
        let names_a_service = name.contains("ENDPOINT") || name == "BASE_URL";
        plain |= names_a_service && value.starts_with("http://");
        if let Ok(key) = name.to_ascii_lowercase().parse::<ClientConfigKey>() {
            options = options.with_config(key, value);
        }
    }
    if plain {
        options = options.with_allow_http(true);
    }
    let Some(bundle) = std::env::var_os("AWS_CA_BUNDLE").filter(|_| prefix == "AWS_") else {
        return Ok(options);
    };
    let bundle = std::path::PathBuf::from(bundle);
    let unusable = |error: &dyn std::fmt::Display| {
        StoreError::Invalid(format!(
            "AWS_CA_BUNDLE names {}, which cannot be used: {error}",
            bundle.display()
        ))
    };
    let pem = std::fs::read(&bundle).map_err(|error| unusable(&error))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&error))?;
    Ok(certificates.into_iter().fold(options, ClientOptions::with_root_certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_let_anybody_in_are_refused_without_repeating_them() {
        for place in ["https://joe:hunter2@host/a", "s3://hunter2@bucket/a", "https://host/a?sig=hunter2"] {
            let error = url(place).unwrap_err();
            assert!(error.is_bad_input() && !error.to_string().contains("hunter2"), "{error}");
            assert!(error.to_string().contains("credentials in the environment"), "{error}");
        }
    }

    #[test]
    fn what_is_no_url_is_not_repeated_either() {
        let error = url("https://joe:hunter2@[host/a").unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains("https://"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_scheme_that_nobody_serves_is_answered_with_those_that_are_known() {
        let error = open(&Url::parse("ftp://host/a").unwrap()).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().contains("s3://"), "{error}");
    }
}
