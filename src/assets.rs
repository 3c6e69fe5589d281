//! The web app's files: embedded by a release build, read from web/dist by a debug build. A server without them still compiles
//! and says so on its pages.

use rust_embed::RustEmbed;
use signaling::Asset;

#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Dist;

pub fn find(path: &str) -> Option<Asset> {
    let file = Dist::get(path)?;
    Some(Asset { mime: file.metadata.mimetype().to_owned(), sha256: file.metadata.sha256_hash(), bytes: file.data })
}
