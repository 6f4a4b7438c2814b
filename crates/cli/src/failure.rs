//! How a command fails: one message, and the exit code that scripts go by.

use std::process::ExitCode;

/// A command that did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Something broke; the input may be right. Exit code 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Failure { code: 1, message: message.into() }
    }

    /// The user has to change something. Exit code 2.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Failure { code: 2, message: message.into() }
    }

    /// Passes on the exit code of another process, which has said why itself.
    pub fn of_process(code: i32) -> Self {
        Failure { code: u8::try_from(code).unwrap_or(1), message: String::new() }
    }

    /// Prints the message and returns the exit code.
    pub fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("error: {}", self.message);
        }
        ExitCode::from(self.code)
    }
}

impl From<plan::ConfigError> for Failure {
    fn from(error: plan::ConfigError) -> Self {
        Failure::bad_input(error.to_string())
    }
}

impl From<store::StoreError> for Failure {
    fn from(error: store::StoreError) -> Self {
        match error.is_bad_input() {
            true => Failure::bad_input(error.to_string()),
            false => Failure::failed(error.to_string()),
        }
    }
}

impl From<coordinator::CoordinatorError> for Failure {
    fn from(error: coordinator::CoordinatorError) -> Self {
        match error {
            coordinator::CoordinatorError::Store(error) => error.into(),
            other => Failure::failed(other.to_string()),
        }
    }
}
