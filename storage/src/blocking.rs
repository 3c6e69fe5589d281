//! The bridge to the blocking pool: files and SQLite must not hold up the threads that serve everybody.

use crate::StorageError;

/// Runs `work` on the blocking pool. A panic in it goes on in the caller.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(StorageError::Away("the process is stopping".into())),
    }
}
