//! Profiles of `~/.aws/config` and `~/.aws/credentials`, for machines whose environment names no credentials: static
//! keys, roles, single sign-on, programs that print credentials. All of it is AWS's own library; this file only asks
//! it, and keeps an answer until it runs out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileSet};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_types::os_shim_internal::{Env, Fs};
use futures::FutureExt;
use object_store::CredentialProvider;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use tokio::sync::Mutex;

use crate::StoreError;

/// Any of these says where credentials are from, as for AWS's own tools: a profile is then not asked.
const DECIDED: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
];
/// Any of these says in a profile where its credentials are from. (`aws-config`, `profile/credentials/repr.rs`.)
const SOURCES: [&str; 7] = [
    "aws_access_key_id",
    "role_arn",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
    "credential_process",
    "login_session",
];
/// Credentials are fetched anew when so little is left of them.
const EARLY: Duration = Duration::from_secs(300);

/// Adds what the profile says, if there is one to ask: credentials, region and endpoint.
pub(super) fn complete(builder: AmazonS3Builder) -> Result<AmazonS3Builder, StoreError> {
    if DECIDED.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(builder);
    }
    let named = std::env::var("AWS_PROFILE").ok();
    let unusable = |reason: String| StoreError::Invalid(format!("the AWS profiles cannot be used: {reason}"));
    let loading =
        aws_config::profile::load(&Fs::real(), &Env::real(), &Default::default(), None).now_or_never();
    let profiles = loading
        .ok_or_else(|| unusable("their files are not read at once".into()))?
        .map_err(|error| unusable(error.to_string()))?;
    if profiles.get_profile(profiles.selected_profile()).is_none() {
        let Some(name) = named else { return Ok(builder) };
        let mut known: Vec<&str> = profiles.profiles().collect();
        known.sort_unstable();
        let known =
            if known.is_empty() { "there is none".into() } else { format!("there are {}", known.join(", ")) };
        return Err(unusable(format!(
            "AWS_PROFILE is {name}, but {known} (in ~/.aws/config and ~/.aws/credentials)"
        )));
    }
    let builder = settings(builder, &profiles);
    // On machines that have credentials by themselves, a profile often names nothing but a region.
    if !names_credentials(&profiles) {
        return Ok(builder);
    }
    let provider =
        ProfileFileCredentialsProvider::builder().profile_name(profiles.selected_profile()).build();
    let credentials = Arc::new(OfProfile { provider, kept: Mutex::default() });
    Ok(builder.with_credentials(credentials))
}

fn names_credentials(profiles: &ProfileSet) -> bool {
    SOURCES.iter().any(|source| profiles.get(source).is_some())
}

/// What the environment does not say and the profile does.
fn settings(mut builder: AmazonS3Builder, profiles: &ProfileSet) -> AmazonS3Builder {
    for (key, name) in [(AmazonS3ConfigKey::Region, "region"), (AmazonS3ConfigKey::Endpoint, "endpoint_url")]
    {
        if builder.get_config_value(&key).is_none()
            && let Some(value) = profiles.get(name)
        {
            builder = builder.with_config(key, value);
            if name == "endpoint_url" && value.starts_with("http://") {
                builder = builder.with_allow_http(true);
            }
        }
    }
    builder
}

#[derive(Debug)]
struct OfProfile {
    provider: ProfileFileCredentialsProvider,
    kept: Mutex<Option<Credentials>>,
}

#[async_trait]
impl CredentialProvider for OfProfile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        let lasts = |credentials: &Credentials| {
            credentials.expiry().is_none_or(|end| end > SystemTime::now() + EARLY)
        };
        let credentials = match kept.take().filter(lasts) {
            Some(credentials) => credentials,
            None => self
                .provider
                .provide_credentials()
                .await
                .map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?,
        };
        let answer = AwsCredential {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().map(str::to_owned),
        };
        *kept = Some(credentials);
        Ok(Arc::new(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_names_no_credentials_leaves_the_machines_own() {
        for (profile, names) in [
            ("region = eu-central-1", false),
            ("region = eu-central-1\nendpoint_url = http://127.0.0.1:1\nretry_mode = standard", false),
            ("aws_access_key_id = a\naws_secret_access_key = b", true),
            ("credential_process = /bin/keys", true),
            ("role_arn = arn:aws:iam::1:role/a\ncredential_source = Ec2InstanceMetadata", true),
            ("sso_session = people\nsso_account_id = 1\nsso_role_name = a", true),
        ] {
            let config = format!("[default]\n{profile}\n");
            let files = Fs::from_slice(&[("config", config.as_str()), ("credentials", "")]);
            let names_files = [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")];
            let env = Env::from_slice(&names_files);
            let loaded = aws_config::profile::load(&files, &env, &Default::default(), None).now_or_never();
            let profiles = loaded.unwrap().unwrap();
            assert!(profiles.get_profile("default").is_some(), "{config}");
            assert_eq!(names_credentials(&profiles), names, "{config}");
        }
    }
}
